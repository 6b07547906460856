"""An ensemble: several models averaged into one, whose logit is the mean of theirs; a model artifact like any other.

Calibrate, export and evaluate take it as they take a single model: one graph, one policy chosen on the
ensemble's own validation scores. Members must have been validated on the same images. Those are the only
ones on which the ensemble can be judged without leakage, and the members of `folds` (see there) have
neither trained on them nor been stopped by them.
"""

from __future__ import annotations

import json
import logging
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from components.common.artifacts.class_weight import write_class_weight
from components.common.artifacts.folder import new_artifact
from components.common.artifacts.model import (
    ENSEMBLE,
    ENVIRONMENT,
    NETWORK,
    TRAINING_CONFIG,
    VAL_SCORES,
    Model,
    ModelFacts,
    open_model,
    write_record,
)
from components.common.artifacts.scores import Scores, save_scores
from components.common.runtime.errors import ArtifactError, ConfigError
from components.common.statistics.numeric import Floats, sigmoid
from components.common.statistics.paired_gain import METRICS, RESAMPLES, paired_gain

_ALIKE = ("image_size", "record_size")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EnsembleResult:
    """A finished ensemble."""

    out: Path
    record: dict[str, Any]


@dataclass(frozen=True)
class Member:
    """A model and its validation scores."""

    model: Model
    scores: Scores

    @property
    def path(self) -> Path:
        """The folder."""
        return self.model.path


@dataclass(frozen=True)
class Members:
    """Several models that can be compared.

    Attributes:
        models: each of them.
        logits: of each, (n,) uncalibrated validation logits, in the order of the first one's images.
    """

    models: list[Member]
    logits: list[Floats]

    @property
    def digests(self) -> dict[str, str]:
        """Digest of each, by `member_0` and so on."""
        return {f"member_{i}": member.model.artifact.digest for i, member in enumerate(self.models)}


def run(models: Sequence[Path], out: Path, against: Path | None = None) -> EnsembleResult:
    """Averages models into one ensemble and measures the gain on validation.

    Args:
        models: two or more model artifacts.
        out: folder for the ensemble, a model artifact.
        against: another single model to compare with, such as one trained on all folds.

    Raises:
        ArtifactError: not a model artifact, models for other image sizes, or validated on other images.
        ConfigError: fewer than two models, or one twice.
    """
    opened = open_members(models)
    members, logits = opened.models, opened.logits
    scores = _mean(members[0].scores, logits)
    record = {
        "members": [member_record(member) for member in members],
        "images": len(scores),
        "resamples": RESAMPLES,
        "over_members": paired_gain(logits, scores.logit, scores.label, scores.group_id),
    }
    made_from = opened.digests
    if against is not None:
        single = _open(against)
        _check_alike(members[0], single)
        base = _aligned(members[0], single)
        record["single"] = member_record(single)
        record["over_single"] = paired_gain([base], scores.logit, scores.label, scores.group_id)
        made_from["single"] = single.model.artifact.digest
    with new_artifact(out, "model", made_from) as folder:
        parameters = _write_network(members, folder / NETWORK)
        _write_records(folder, members, scores, record, parameters)
    _log(record)
    return EnsembleResult(out, record)


def open_members(models: Sequence[Path]) -> Members:
    """Opens models that were validated on the same images, prepared in the same way.

    Raises:
        ArtifactError: not a model artifact, models for other image sizes, or validated on other images.
        ConfigError: fewer than two models, or one twice.
    """
    if len(models) < 2:
        raise ConfigError(f"ensemble: received {len(models)} model; allowed: two or more model artifacts of train")
    members = [_open(path) for path in models]
    digests = [member.model.artifact.digest for member in members]
    if len(set(digests)) < len(digests):
        raise ConfigError("ensemble: received the same model twice; allowed: models trained separately")
    for member in members[1:]:
        _check_alike(members[0], member)
    return Members(members, [_aligned(members[0], member) for member in members])


def _open(path: Path) -> Member:
    model = open_model(path)
    if model.facts.members:
        raise ArtifactError(f"{path}: is an ensemble itself; give its members instead")
    return Member(model, model.val_scores())


def _check_alike(first: Member, other: Member) -> None:
    for name in _ALIKE:
        mine, theirs = (getattr(member.model.facts, name) for member in (first, other))
        if mine != theirs:
            raise ArtifactError(
                f"{other.path}: {name} is {theirs}, {first.path} has {mine}; all members of an "
                "ensemble see the same prepared image: train them with one image_size on one records artifact"
            )


def _aligned(first: Member, other: Member) -> Floats:
    """The other's validation logits in the order of the first's."""
    mine = first.scores
    try:
        theirs = other.scores.aligned_to(mine)
    except ArtifactError as error:
        raise ArtifactError(
            f"{other.path} and {first.path} were not validated on the same images: {error}; an ensemble can only be "
            "calibrated and judged on images that no member trained on: train all members on one records artifact, "
            "with folds and fold (a kfold split gives each member its own validation)"
        ) from error
    if (theirs.group_id != mine.group_id).any():
        raise ArtifactError(f"{other.path}: groups of the validation images differ from {first.path}'s")
    return np.asarray(theirs.logit, np.float64)


def _mean(first: Scores, logits: Sequence[Floats]) -> Scores:
    logit = np.mean(logits, axis=0)
    return Scores(first.image_id, first.lesion_id, first.group_id, first.label, logit, sigmoid(logit))


def _write_network(members: Sequence[Member], path: Path) -> int:
    """Writes one Keras model of built-in layers that holds all members; returns its number of parameters."""
    import keras

    networks = []
    for i, member in enumerate(members):
        network = keras.models.load_model(member.model.network, compile=False, safe_mode=True)
        network.name = f"member_{i}"
        networks.append(network)
    # named, since Keras counts up what has no name, and equal members are to make equal files
    image = keras.Input(networks[0].input_shape[1:], name="image")
    mean = keras.layers.Average(dtype="float32", name="mean")([network(image) for network in networks])
    whole = keras.Model(image, mean, name="ensemble")
    whole.save(path)
    _drop_date(path)
    return int(whole.count_params())


def _drop_date(path: Path) -> None:
    """Takes the time of saving out of a `.keras` file: the same members make the same ensemble, to the byte."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    metadata = json.loads(content["metadata.json"])
    metadata.pop("date_saved", None)
    content["metadata.json"] = json.dumps(metadata).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in content.items():
            with archive.open(zipfile.ZipInfo(name), "w", force_zip64=True) as member:
                member.write(data)


def _write_records(
    folder: Path, members: Sequence[Member], scores: Scores, record: Mapping[str, Any], parameters: int
) -> None:
    names = sorted({member.model.facts.architecture for member in members})
    own = {"architecture": "+".join(names), "members": len(members), "parameters": parameters}
    ModelFacts(**members[0].model.facts.record() | own).save(folder)
    save_scores(folder / VAL_SCORES, scores)
    write_record(folder, ENSEMBLE, record)
    # the mean of logits is shifted by the mean of the members' offsets
    offset = float(np.mean([member.model.logit_offset() for member in members]))
    write_class_weight(folder, {"0": 1.0, "1": float(np.exp(offset))}, offset)
    write_record(folder, TRAINING_CONFIG, _shared([member.model.training_config for member in members]))
    write_record(folder, ENVIRONMENT, _shared([member.model.environment for member in members]))


def _shared(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The entries in which all records agree; `ensemble.json` lists by member those in which they differ."""
    first, *others = records
    return {name: value for name, value in first.items() if all(one.get(name) == value for one in others)}


def member_record(member: Member) -> dict[str, Any]:
    """What records of several models say of one: hashes, in what it differs, and its figures on validation."""
    scores, model = member.scores, member.model
    figures = paired_gain([scores.logit], scores.logit, scores.label, scores.group_id, resamples=1)
    return {
        "digest": model.artifact.digest,
        "model_sha256": model.sha256(NETWORK),
        "records": model.artifact.made_from.get("records", ""),
        "architecture": model.facts.architecture,
        **{name: model.training_config.get(name) for name in ("folds", "fold", "seed")},
        **{name: figures[name]["after"] for name in METRICS if figures},
        "commit": (model.environment.get("git") or {}).get("commit"),
        "seconds": sum(model.history_column("seconds")) if model.history else None,
    }


def _log(record: Mapping[str, Any]) -> None:
    for name, what in (("over_members", "the mean of the members"), ("over_single", "the single model")):
        for metric, found in record.get(name, {}).items():
            gain = found["gain"]
            log.info(
                "%s %.4f, %s %.4f: gain %+.4f (%+.4f to %+.4f)",
                metric.replace("_", " "),
                found["after"],
                what,
                found["before"],
                gain["value"],
                gain["lower"],
                gain["upper"],
            )
