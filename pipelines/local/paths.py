"""Paths among the parameters of a run on this machine: absolute, and there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from components.common.runtime.errors import ConfigError
from components.common.storage.store import file_problem
from components.ingest.labels import AUTO, load_label_policy
from components.ingest.sources import root_problem
from pipelines.parameters import MEMBERS, OPTIONS, RunParameters, validate


def resolve_paths(run: RunParameters) -> RunParameters:
    """Makes local paths absolute, for a run on this machine, and checks that they are there.

    Raises:
        ConfigError: a table, image folder, weights or champion file that does not exist, or an unknown label policy.
    """

    def local(name: str, text: str, *, folder: bool = False) -> str:
        if "://" in text:
            return text
        path = Path(text).expanduser().resolve()
        if folder and not path.is_dir():
            raise ConfigError(f"{name}: received {text!r}, which {root_problem(text, exists=False)}")
        if not folder and not path.is_file():
            raise ConfigError(f"{name}: received {text!r}, which {file_problem(text)}")
        return str(path)

    values = dict(run.values)
    if values["label_policy"] != AUTO:
        load_label_policy(values["label_policy"])
    tables = [values["metadata"]] if Path(values["metadata"]).is_file() else values["metadata"].split(",")
    values["metadata"] = ",".join(local("metadata", table.strip()) for table in tables)
    values["images"] = [local("images", root, folder=True) for root in values["images"]]
    values["champion"] = values["champion"] and local("champion", values["champion"])
    if values["weights"] not in ("none", "imagenet"):
        values["weights"] = local("weights", values["weights"])
    if run.members and isinstance(values[OPTIONS][MEMBERS], list):
        values[OPTIONS] = {**values[OPTIONS], MEMBERS: _with_local_weights(values[OPTIONS][MEMBERS], local)}
    return validate(values)


def _with_local_weights(members: list[dict[str, Any]], local: Callable[[str, str], str]) -> list[dict[str, Any]]:
    def changed(name: str, value: Any) -> Any:
        is_file = name in ("weights", "train.weights") and value not in ("none", "imagenet", "", None)
        return local("weights", str(value)) if is_file else value

    return [{name: changed(name, value) for name, value in one.items()} for one in members]
