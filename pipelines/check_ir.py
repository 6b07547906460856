"""Checks of the compiled pipeline for faults that KFP accepts and a cluster only shows much later."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import yaml

from components.common.errors import ConfigError

SENTINEL = "lesionflow.invalid"


def load_documents(text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The pipeline spec and the platform spec; a file with one document has lost its selectors.

    Raises:
        ConfigError: not exactly these two documents.
    """
    documents = list(yaml.safe_load_all(text))
    if len(documents) != 2 or "platforms" not in documents[1]:
        raise ConfigError(
            f"compiled pipeline: {len(documents)} YAML document(s); expected two, the second with the node selectors"
        )
    return documents[0], documents[1]


def check_ir(text: str, *, gpu_steps: set[str]) -> None:
    """Checks a compiled pipeline.

    Args:
        text: both YAML documents.
        gpu_steps: executors that must ask for a GPU with selector and tolerations; no other may.

    Raises:
        ConfigError: every fault found, a line each.
    """
    spec, platform = load_documents(text)
    checks: tuple[Callable[[], Iterator[str]], ...] = (
        lambda: _undeclared(spec["root"], "root", spec),
        lambda: _containers(spec),
        lambda: _gpu(spec, platform, gpu_steps),
    )
    faults = [fault for check in checks for fault in check()]
    if faults:
        raise ConfigError("compiled pipeline:\n" + "\n".join(faults))


def executors(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Container of each executor, by the step's name."""
    return {
        name.removeprefix("exec-"): body["container"]
        for name, body in spec["deploymentSpec"]["executors"].items()
        if "container" in body
    }


def placement(platform: Mapping[str, Any]) -> dict[str, Any]:
    """Kubernetes settings of each executor, by the step's name."""
    kubernetes = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    return {name.removeprefix("exec-"): body for name, body in kubernetes.items()}


def _undeclared(component: Mapping[str, Any], where: str, spec: Mapping[str, Any]) -> Iterator[str]:
    declared = set(component.get("inputDefinitions", {}).get("parameters", {}))
    for task_name, task in component.get("dag", {}).get("tasks", {}).items():
        inner = spec["components"][task["componentRef"]["name"]]
        known = set(inner.get("inputDefinitions", {}).get("parameters", {}))
        for name, source in task.get("inputs", {}).get("parameters", {}).items():
            outer = source.get("componentInputParameter")
            if outer and outer not in declared:
                yield f"{where}.{task_name}: input {name} reads {outer}, which {where} does not declare"
            # kfp adds pipelinechannel-- inputs for resources set from parameters: the driver resolves those
            if name not in known and not name.startswith("pipelinechannel--"):
                yield f"{where}.{task_name}: passes {name}, which the component does not declare"
        if "dag" in inner:
            yield from _undeclared(inner, f"{where}.{task_name}", spec)


def _containers(spec: Mapping[str, Any]) -> Iterator[str]:
    for name, container in executors(spec).items():
        if SENTINEL in container["image"]:
            yield f"{name}: image {container['image']} is the sentinel; no image was set for this step"
        if any("pip install" in part or "pip3 install" in part for part in container.get("command", [])):
            yield f"{name}: installs packages when the pod starts; set install_kfp_package=False"
        for key, value in _leaves(container.get("resources", {})):
            if not isinstance(value, str | float | int) or (key == "resourceCount" and not isinstance(value, str)):
                yield f"{name}: resource {key} is {value!r}; the driver reads text only"


def _leaves(node: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        for inner, value in node.items():
            yield from _leaves(value, inner)
    else:
        yield key, node


def _gpu(spec: Mapping[str, Any], platform: Mapping[str, Any], gpu_steps: set[str]) -> Iterator[str]:
    placed = placement(platform)
    for name, container in executors(spec).items():
        asks = "accelerator" in container.get("resources", {})
        settings = placed.get(name, {})
        if asks != (name in gpu_steps):
            yield f"{name}: {'asks' if asks else 'does not ask'} for a GPU"
        for setting in ("nodeSelector", "tolerations"):
            if (setting in settings) != (name in gpu_steps):
                yield f"{name}: {setting} is {'set' if setting in settings else 'missing'}"
