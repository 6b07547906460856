"""Checks of the compiled pipeline for faults that KFP accepts and a cluster only shows much later."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from components.common.runtime import yaml_text
from components.common.runtime.errors import ConfigError

SENTINEL = "lesionflow.invalid"
_PLACEHOLDER = re.compile(r"\{\{\$\.inputs\.parameters\['([^']+)'\]\}\}")


def load_documents(text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The pipeline spec and the platform spec; a file with one document has lost its selectors.

    Raises:
        ConfigError: not exactly these two documents.
    """
    documents = yaml_text.load_all(text)
    if len(documents) != 2 or not all(isinstance(one, dict) for one in documents) or "platforms" not in documents[1]:
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
        lambda: _resources(spec),
        lambda: _triggers(spec),
        lambda: _gpu(spec, platform, gpu_steps),
        lambda: _platform(spec, platform),
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


def step_tasks(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The tasks that run containers, of all DAGs, by name; tasks that only hold a nested DAG are left out."""
    return {
        name: task
        for _, name, task, _ in _tasks(spec)
        if "executorLabel" in spec["components"][task["componentRef"]["name"]]
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


def _resources(spec: Mapping[str, Any]) -> Iterator[str]:
    """Resources set from parameters: the driver reads text only, and drops a number without a word."""
    for where, task_name, task, types in _tasks(spec):
        inner = spec["components"][task["componentRef"]["name"]]
        container = _container_of(spec, inner)
        given = task.get("inputs", {}).get("parameters", {})
        for key, value in _leaves(container.get("resources", {})):
            if key == "resourceCount" and not isinstance(value, str):
                yield f"{task_name}: resource {key} is {value!r}; the driver reads text only"
            for name in _PLACEHOLDER.findall(value) if isinstance(value, str) else ():
                if name not in given:
                    yield f"{where}.{task_name}: resource {key} reads {name}, which the task is not given"
                    continue
                source = given[name].get("componentInputParameter", "")
                if types.get(source) not in ("STRING", None):
                    yield f"{where}.{task_name}: resource {key} is {types[source]}; the driver reads text only"


def _triggers(spec: Mapping[str, Any]) -> Iterator[str]:
    """Exit tasks must run anew each time; conditions compare floats with int literals and are false for ever."""
    for where, task_name, task, _ in _tasks(spec):
        trigger = task.get("triggerPolicy", {})
        if "condition" in trigger:
            yield f"{where}.{task_name}: condition {trigger['condition']!r}; raise inside the component instead"
        is_exit = trigger.get("strategy") == "ALL_UPSTREAM_TASKS_COMPLETED"
        if is_exit and task.get("cachingOptions", {}).get("enableCache"):
            yield f"{where}.{task_name}: the exit task is cached and would report an earlier run"


def _platform(spec: Mapping[str, Any], platform: Mapping[str, Any]) -> Iterator[str]:
    """Kubernetes settings from parameters are looked up in the DAG that holds the task; root users are refused."""
    placed = placement(platform)
    for where, task_name, task, types in _tasks(spec):
        label = spec["components"][task["componentRef"]["name"]].get("executorLabel", "")
        settings = placed.get(label.removeprefix("exec-"), {})
        for key, name in _leaves(settings):
            if key == "componentInputParameter" and name not in types:
                yield f"{where}.{task_name}: a Kubernetes setting reads {name}, which {where} does not declare"
    for name in executors(spec):
        if not placed.get(name, {}).get("securityContext", {}).get("runAsNonRoot"):
            yield f"{name}: may run as root; set run_as_non_root"


def _tasks(spec: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any], dict[str, str]]]:
    """Each task of each DAG: the DAG's name, the task's, the task, and the types of the DAG's parameters."""
    for where, component in (("root", spec["root"]), *spec.get("components", {}).items()):
        declared = component.get("inputDefinitions", {}).get("parameters", {})
        types = {name: str(body.get("parameterType", "")) for name, body in declared.items()}
        for name, task in component.get("dag", {}).get("tasks", {}).items():
            yield where, name, task, types


def _container_of(spec: Mapping[str, Any], component: Mapping[str, Any]) -> Mapping[str, Any]:
    executor = spec["deploymentSpec"]["executors"].get(component.get("executorLabel", ""), {})
    container: Mapping[str, Any] = executor.get("container", {})
    return container


def _leaves(node: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        for inner, value in node.items():
            yield from _leaves(value, inner)
    elif isinstance(node, list):
        for value in node:
            yield from _leaves(value, key)
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
