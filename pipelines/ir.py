"""A compiled pipeline, read: both YAML documents, and what they say of each step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.common.runtime import yaml_text
from components.common.runtime.errors import ConfigError


def load_documents(text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The pipeline spec and the platform spec; a file with one document has lost its selectors.

    Raises:
        ConfigError: not exactly these two documents, or the first one is not a pipeline.
    """
    documents = yaml_text.load_all(text)
    if len(documents) != 2 or not all(isinstance(one, dict) for one in documents) or "platforms" not in documents[1]:
        raise ConfigError(
            f"compiled pipeline: {len(documents)} YAML document(s); expected two, the second with the node selectors"
        )
    missing = [key for key in ("pipelineInfo", "root") if not isinstance(documents[0].get(key), dict)]
    if missing:
        raise ConfigError(f"compiled pipeline: the first document has no {missing[0]}; expected a pipeline of kfp")
    return documents[0], documents[1]


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
        for component in (spec["root"], *spec.get("components", {}).values())
        for name, task in component.get("dag", {}).get("tasks", {}).items()
        if "executorLabel" in spec["components"][task["componentRef"]["name"]]
    }


def placement(platform: Mapping[str, Any]) -> dict[str, Any]:
    """Kubernetes settings of each executor, by the step's name."""
    kubernetes = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    return {name.removeprefix("exec-"): body for name, body in kubernetes.items()}
