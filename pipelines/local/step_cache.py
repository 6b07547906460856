"""Finished steps of earlier runs: reused where inputs, parameters and code are the same.

KFP's local runner keeps the outputs of a task under a key of its inputs, component and image. Images mean nothing
on one machine, so the image's name carries what else decides a result: the code and the versions of its libraries.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import threading
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from kfp import dsl
from kfp.local import cache

import components
from components.common.artifacts.folder import MANIFEST, open_artifact
from components.common.runtime.errors import ArtifactError
from components.common.runtime.events import emit
from pipelines.members import MEMBER

_LIBRARIES = ("tensorflow", "keras", "jax", "numpy", "pandas", "pyarrow", "scikit-learn", "scipy", "simplejpeg")
_SUFFIXES = frozenset({".py", ".yaml", ".j2", ".csv", ".json", ".css", ".npz"})


def code_identity() -> str:
    """Twelve hex digits that change with the steps' code, Python, and the libraries that compute."""
    found = hashlib.sha256(platform.python_version().encode())
    root = Path(components.__path__[0])
    for path in sorted(path for path in root.rglob("*") if path.suffix in _SUFFIXES):
        found.update(f"\n{path.relative_to(root).as_posix()}\n".encode())
        found.update(path.read_bytes())
    for name in _LIBRARIES:
        found.update(f"\n{name} {_version(name)}".encode())
    found.update(os.environ.get("KERAS_BACKEND", "").encode())
    return found.hexdigest()[:12]


class StepCache(cache.LocalCache):  # type: ignore[misc] # kfp ships no types
    """KFP's own cache, which tells the watcher where a step's outputs are and hands out only what is intact."""

    def __init__(self, cache_root: str) -> None:
        super().__init__(cache_root)
        self._steps = threading.local()

    def compute_key(self, component_name: str, *arguments: Any, **more: Any) -> str:
        """The key of a task; remembers whose key it is."""
        self._steps.name = component_name.removeprefix("comp-")
        given = more.get("arguments") or next((one for one in arguments if isinstance(one, dict)), {})
        if member := _member_of(given.get("config")):
            self._steps.name += f" {member}"
        return str(super().compute_key(component_name, *arguments, **more))

    def get(self, key: str) -> dict[str, Any] | None:
        """The outputs of an equal task, or None where there is none or one of them is damaged."""
        outputs = super().get(key)
        if outputs is None or not all(_intact(path) for path in _folders(outputs).values()):
            return None
        self._tell("reused", outputs)
        return dict(outputs)

    def put(self, key: str, outputs: dict[str, Any]) -> None:
        """Keeps the outputs of a finished task."""
        for artifact in _artifacts(outputs):  # of metrics KFP writes no file, and would miss it later
            path = Path(artifact.uri)
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
        super().put(key, outputs)
        self._tell("kept", outputs)

    def _tell(self, event: str, outputs: Mapping[str, Any]) -> None:
        folders = {name: str(path) for name, path in _folders(outputs).items()}
        emit({"event": event, "step": self._steps.name, "outputs": folders})


def _member_of(config: object) -> str:
    """The name of the member whose training has this configuration; empty for any other step."""
    return str(json.loads(config).get(MEMBER, "")) if isinstance(config, str) else ""


def _artifacts(outputs: Mapping[str, Any]) -> Iterator[dsl.Artifact]:
    for value in outputs.values():
        yield from (one for one in (value if isinstance(value, list) else [value]) if isinstance(one, dsl.Artifact))


def _folders(outputs: Mapping[str, Any]) -> dict[str, Path]:
    """The artifacts of ours among the outputs, by the name of the output."""
    known = {name: Path(value.uri) for name, value in outputs.items() if isinstance(value, dsl.Artifact)}
    return {name: path for name, path in known.items() if (path / MANIFEST).is_file()}


def _intact(path: Path) -> bool:
    try:
        open_artifact(path)
    except ArtifactError:
        return False
    return True


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
