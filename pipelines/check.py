"""What can be known in the first minute of a run: every parameter, and whether what it will read is there."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from typing import Any

from components.common.artifacts.folder import MANIFEST, sha256_bytes, sha256_file
from components.common.artifacts.json_file import dump_json
from components.common.artifacts.npz import read_npz
from components.common.artifacts.scores import load_scores
from components.common.runtime.config import READS
from components.common.runtime.errors import ConfigError, LesionflowError
from components.common.runtime.session import step_session
from components.common.statistics.feasibility import Demands, GateBound
from components.common.storage import store
from components.common.storage.retry import StoredObject
from components.evaluate.gate import parse_condition
from components.ingest.labels import AUTO, load_label_policy
from components.ingest.sources import root_problem
from components.monitor.reference import fetch_reference
from components.monitor.table import read_tables
from components.train.weight_sources import SOURCES, KerasFile
from pipelines import monitoring, validation
from pipelines.cluster_entries import Rounds
from pipelines.parameters import MEMBERS, OPTIONS, STEP_CONFIGS, RunParameters, validate

_ASKED_OF_VAL = ("folds", "operating_point", "target_sensitivity", "delta", "abstain_alpha")
_MONITOR = "monitor"
_HDF5 = b"\x89HDF\r\n\x1a\n"  # how every such file begins
_Asked = dict[tuple[str, str], Callable[[], str]]
log = logging.getLogger(__name__)


def check_run(
    values: Mapping[str, Any], cluster_options: Mapping[str, Any], *, rounds: Mapping[str, Any] | None = None
) -> tuple[Any, ...]:
    """Checks a run before its first step starts.

    Args:
        values: the pipeline's parameters.
        cluster_options: options that the cluster file sets.
        rounds: what the cluster file allows the members' trainings, where the compiled pipeline has the loop over
            members: a run that may outlast its deadline is warned of.

    Returns:
        The configuration of each step as JSON has it, in the order of `STEP_CONFIGS`, that of train as JSON text; then
        `demands`; with `rounds` also the list of the members' texts and what becomes of them. Text, because a loop of
        Kubeflow Pipelines carries nothing else. Where a step reads from outside, the entry `reads` has digests of what
        is there: changed data under the same name is then another input to the step, and no cache answers with the
        result of the old.

    Raises:
        ConfigError: a line for each bad parameter, or for each thing that cannot be read; or members for a pipeline
            without the loop, or none for one that has it.
    """
    with step_session("check"):
        run = validate(values, cluster_options)
        _check_kind(run, members=rounds is not None)
        if rounds is not None and (said := Rounds.parse(rounds).warning(len(run.members))):
            log.warning("%s", said)
        reads = check_inputs(run)
        made = run.step_values()
        given = [(step, {**made[step], READS: reads[step]} if reads.get(step) else made[step]) for step in STEP_CONFIGS]
        configs = (json.dumps(config, sort_keys=True) if step == "train" else config for step, config in given)
        outputs = (*configs, demands(run))
        if rounds is None:
            return outputs
        return (*outputs, [one.text(reads.get(one.name, {})) for one in run.members], run.combine)


def check_validation(values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Checks a validation before its first step starts.

    Returns:
        The configurations of ingest and validate as JSON has them, each with digests of what it reads from outside.

    Raises:
        ConfigError: a line for each bad parameter, or for each thing that cannot be read.
    """
    with step_session("check"):
        asked = validation.located(validation.parse(values))
        sources, bundle = asked.ingest, asked.validate
        things = _asked_of_ingest(sources.metadata, sources.images, sources.label_policy)
        things["validate", "bundle"] = lambda: _artifact("bundle", bundle.bundle)
        if bundle.internal:
            things["validate", "internal"] = lambda: _artifact("internal", bundle.internal)
        found = _answers(things)
        log.info("parameters are valid; bundle, table and image folders can be read")
        made = ((name, getattr(asked, name).model_dump(mode="json")) for name in validation.FORM.steps)
        ingest, validate_ = ({**config, READS: found[name]} for name, config in made)
        return ingest, validate_


def check_monitor(values: Mapping[str, Any]) -> tuple[dict[str, Any]]:
    """Checks a run of the monitor before it reads a row.

    Returns:
        The configuration of monitor as JSON has it, with digests of what it reads from outside.

    Raises:
        ConfigError: a line for each bad parameter, or for each thing that cannot be read.
    """
    with step_session("check"):
        asked = monitoring.parse(values)
        things: _Asked = {
            (_MONITOR, "bundle"): lambda: _artifact("bundle", asked.bundle),
            (_MONITOR, "predictions"): lambda: _logs(asked.predictions),
        }
        if asked.labels:
            things[_MONITOR, "labels"] = lambda: _file("labels", asked.labels)
        if asked.reference:
            things[_MONITOR, "reference"] = lambda: _reference(asked.reference)
        found = _answers(things)
        log.info("parameters are valid; bundle and logged predictions can be read")
        return ({**asked.model_dump(mode="json"), READS: found[_MONITOR]},)


def _logs(uris: list[str]) -> str:
    return sha256_bytes("".join(table.digest for table in read_tables(uris)).encode())


def _reference(uri: str) -> str:
    with tempfile.TemporaryDirectory() as scratch:
        return sha256_file(fetch_reference(uri, Path(scratch)))


def _asked_of_ingest(metadata: str, images: list[str], label_policy: str) -> _Asked:
    asked: _Asked = {
        ("ingest", "metadata"): lambda: _tables(metadata),
        ("ingest", "images"): lambda: _listing(images),
    }
    if label_policy != AUTO:
        asked["ingest", "label_policy"] = lambda: _label_policy(label_policy)
    return asked


def _artifact(name: str, uri: str) -> str:
    """sha256 of the manifest, which stands for every file."""
    return _file(name, store.join(uri, MANIFEST))


def _check_kind(run: RunParameters, *, members: bool) -> None:
    received = run.values[OPTIONS].get(MEMBERS, 0)
    if run.members and not members:
        raise ConfigError(
            f"{MEMBERS}: received {received!r}; this pipeline was compiled for a single model; allowed: 0, or compile "
            "it again with members (lesionflow compile --set members=3 ...)"
        )
    if members and not run.members:
        raise ConfigError(
            f"{MEMBERS}: received {received!r}; this pipeline was compiled for several models; allowed: at least two "
            "members in options, or compile it again without members"
        )


def demands(run: RunParameters) -> dict[str, Any]:
    """What later steps will ask of the split: `statistics.feasibility.Demands` as JSON has it, and the champion."""
    values, train = run.step_values(), run.training
    gate = [parse_condition(text) for text in values["evaluate"]["gate"]]
    # of several members, the one with the most folds asks for the most
    most = max((member.config for member in run.members), default=train, key=lambda one: (one.folds, one.fold))
    counted = isinstance(run.values[OPTIONS].get(MEMBERS), int) and bool(run.members)
    asked = Demands(
        **{name: values["calibrate"][name] for name in _ASKED_OF_VAL},
        train_folds=most.folds,
        train_fold=0 if counted else most.fold,  # fewer members leave out fewer folds
        train_folds_name=MEMBERS if counted else "train.folds",
        gate=tuple(GateBound(one.text, one.figure, one.part, one.least) for one in gate),
    )
    return {**asdict(asked), "champion": values["evaluate"]["champion"]}


def check_inputs(run: RunParameters) -> dict[str, dict[str, str]]:
    """Reads table, label policy, weights and champion, and lists the image folders.

    Returns:
        For each step that reads from outside, sha256 (hex) of each thing it reads, by the parameter's name; of a run
        with members, for each member instead of train.

    Raises:
        ConfigError: a line for each that cannot be read.
    """
    values = run.values
    asked = _asked_of_ingest(values["metadata"], values["images"], values["label_policy"])
    weights_file = cache(lambda uri: _file("weights", uri, _check_weights))
    trainings = [(one.name, one.config) for one in run.members] or [("train", run.training)]
    for name, training in trainings:
        if training.weights == "imagenet":
            asked[name, "weights"] = partial(_downloadable, training.architecture)
        elif training.weights != "none":
            asked[name, "weights"] = partial(weights_file, training.weights)
    if values["champion"]:
        asked["evaluate", "champion"] = lambda: _file("champion", values["champion"], load_scores)
    found = _answers(asked)
    log.info("parameters are valid; table, image folders and label policy can be read")
    return found


def _answers(asked: _Asked) -> dict[str, dict[str, str]]:
    """The digest of each thing that is asked for, by step and name.

    Raises:
        ConfigError: a line for each that cannot be read.
    """
    found: dict[str, dict[str, str]] = {}
    faults = []
    for (step, name), ask in asked.items():
        try:
            found.setdefault(step, {})[name] = ask()
        except (LesionflowError, OSError) as error:
            faults.append(str(error))
    if faults:
        raise ConfigError("\n".join(dict.fromkeys(faults)))
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
        version = _local_version(Path(uri).stat()) if store.is_local(uri) else item.version
        listed.update(f"{uri}\0{item.size}\0{version}\n".encode("utf-8", "backslashreplace"))
    return listed.hexdigest()


def _local_version(found: os.stat_result) -> str:
    """Of a file's times; the second cannot be set back by the copy or the edit that keeps the first."""
    return f"{found.st_mtime_ns}-{found.st_ctime_ns}"


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


def _check_weights(path: Path) -> None:
    """Whether the file holds arrays at all; whether they fit the network is seen when it is built.

    Raises:
        ValueError: neither of the two kinds of file that training reads.
    """
    allowed = "allowed: weights without top layers, as Keras writes them (.h5) or as `lesionflow weights` does (.npz)"
    if path.suffix == ".npz":
        try:
            read_npz(path)
        except ValueError as error:
            raise ValueError(f"not readable as arrays ({error}); {allowed}") from error
        return
    with path.open("rb") as handle:
        if handle.read(len(_HDF5)) != _HDF5:
            raise ValueError(f"not a file in HDF5; {allowed}")


def _file(name: str, uri: str, load: Callable[[Path], object] | None = None) -> str:
    with tempfile.TemporaryDirectory() as scratch:
        try:
            path = store.fetch(uri, Path(scratch))
        except FileNotFoundError as error:
            raise ConfigError(f"{name}: received {uri!r}; there is no such file") from error
        if load is not None:
            try:
                load(path)
            except ValueError as error:
                raise ConfigError(f"{name}: received {uri!r}; {error}") from error
        return sha256_file(path)
