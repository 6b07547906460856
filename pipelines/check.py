"""What can be known in the first minute of a run: every parameter, and whether what it will read is there."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from components.common.artifacts.folder import sha256_bytes, sha256_file
from components.common.artifacts.json_file import dump_json
from components.common.artifacts.scores import load_scores
from components.common.runtime.config import READS
from components.common.runtime.errors import ConfigError, LesionflowError
from components.common.runtime.session import step_session
from components.common.statistics.feasibility import Demands, GateBound
from components.common.storage import store
from components.common.storage.store import StoredObject
from components.evaluate.gate import parse_condition
from components.ingest.labels import AUTO, load_label_policy
from components.ingest.sources import root_problem
from components.train.config import TrainConfig
from components.train.weight_sources import SOURCES, KerasFile
from pipelines.parameters import STEP_CONFIGS, RunParameters, validate

_ASKED_OF_VAL = ("folds", "operating_point", "target_sensitivity", "delta", "abstain_alpha")
log = logging.getLogger(__name__)


def check_run(values: Mapping[str, Any], cluster_options: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    """Checks a run before its first step starts.

    Args:
        values: the pipeline's parameters.
        cluster_options: options that the cluster file sets.

    Returns:
        The configuration of each step as JSON has it, in the order of `STEP_CONFIGS`, then `demands`. Where a step
        reads from outside, the entry `reads` has digests of what is there: changed data under the same name is then
        another input to the step, and no cache answers with the result of the old.

    Raises:
        ConfigError: a line for each bad parameter, or for each thing that cannot be read.
    """
    with step_session("check"):
        run = validate(values, cluster_options)
        reads = check_inputs(run)
        made = run.step_values()
        configs = ({**made[step], READS: reads[step]} if reads.get(step) else made[step] for step in STEP_CONFIGS)
        return (*configs, demands(run))


def demands(run: RunParameters) -> dict[str, Any]:
    """What later steps will ask of the split: `statistics.feasibility.Demands` as JSON has it, and the champion."""
    values, train = run.step_values(), run.steps["train"]
    if not isinstance(train, TrainConfig):
        raise TypeError(type(train))
    gate = [parse_condition(text) for text in values["evaluate"]["gate"]]
    asked = Demands(
        **{name: values["calibrate"][name] for name in _ASKED_OF_VAL},
        train_folds=train.folds,
        train_fold=train.fold,
        gate=tuple(GateBound(one.text, one.figure, one.part, one.least) for one in gate),
    )
    return {**asdict(asked), "champion": values["evaluate"]["champion"]}


def check_inputs(run: RunParameters) -> dict[str, dict[str, str]]:
    """Reads table, label policy, weights and champion, and lists the image folders.

    Returns:
        For each step that reads from outside, sha256 (hex) of each thing it reads, by the parameter's name.

    Raises:
        ConfigError: a line for each that cannot be read.
    """
    values = run.values
    asked: dict[tuple[str, str], Callable[[], str]] = {
        ("ingest", "metadata"): lambda: _tables(values["metadata"]),
        ("ingest", "images"): lambda: _listing(values["images"]),
    }
    if values["label_policy"] != AUTO:
        asked["ingest", "label_policy"] = lambda: _label_policy(values["label_policy"])
    if values["weights"] not in ("none", "imagenet"):
        asked["train", "weights"] = lambda: _file("weights", values["weights"])
    elif values["weights"] == "imagenet":
        asked["train", "weights"] = lambda: _downloadable(values["architecture"])
    if values["champion"]:
        asked["evaluate", "champion"] = lambda: _file("champion", values["champion"], load_scores)
    found: dict[str, dict[str, str]] = {}
    faults = []
    for (step, name), ask in asked.items():
        try:
            found.setdefault(step, {})[name] = ask()
        except (LesionflowError, OSError) as error:
            faults.append(str(error))
    if faults:
        raise ConfigError("\n".join(faults))
    log.info("parameters are valid; table, image folders and label policy can be read")
    return found


def _tables(given: str) -> str:
    uris = [given] if store.exists(given) else [uri.strip() for uri in given.split(",")]
    return "+".join(_file("metadata", uri) for uri in uris)


def _listing(roots: list[str]) -> str:
    """Of names, sizes and versions of all images; ingest compares the bytes."""
    items: dict[str, StoredObject] = {}
    for root in roots:
        try:
            items |= {item.uri: item for item in store.list_images(root.strip())}
        except FileNotFoundError as error:
            raise ConfigError(f"images: {root} {root_problem(root, exists=False)}") from error
        except OSError as error:
            raise ConfigError(f"images: {error}; allowed: folders that exist and may be listed") from error
    if not items:
        raise ConfigError(f"images: no image in {', '.join(roots)}; allowed: folders of .jpg or .png files")
    listed = hashlib.sha256()
    for uri in sorted(items):
        item = items[uri]
        # the store's own version of a local file is empty while the file is new, and would be another one later
        version = str(Path(uri).stat().st_mtime_ns) if store.is_local(uri) else item.version
        listed.update(f"{uri}\0{item.size}\0{version}\n".encode("utf-8", "backslashreplace"))
    return listed.hexdigest()


def _label_policy(given: str) -> str:
    return sha256_bytes(dump_json(load_label_policy(given).record()).encode())


def _downloadable(architecture: str) -> str:
    """Asks for the file that Keras would download, unless Keras has it already."""
    source = SOURCES[architecture]
    assert isinstance(source, KerasFile)  # other backbones refuse `imagenet`
    kept = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras")) / "models" / source.url.rpartition("/")[2]
    if not kept.is_file():
        try:
            with urllib.request.urlopen(urllib.request.Request(source.url, method="HEAD"), timeout=20):
                pass
        except OSError as error:
            raise ConfigError(
                f"weights: Keras would download {source.url} in training, and from here it cannot be reached "
                f"({error}); allowed: the path or URI of that file, downloaded elsewhere, or none (train from scratch)"
            ) from error
    return sha256_bytes(f"{source.url} {source.digest}".encode())


def _file(name: str, uri: str, load: Callable[[Path], object] | None = None) -> str:
    with tempfile.TemporaryDirectory() as scratch:
        try:
            path = store.fetch(uri, Path(scratch))
        except FileNotFoundError as error:
            raise ConfigError(f"{name}: received {uri!r}; there is no such file") from error
        if load is not None:
            load(path)
        return sha256_file(path)
