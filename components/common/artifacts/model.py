"""The model artifact: a trained network, or an ensemble of several, with all that says how it was made.

Train and ensemble write it; calibrate, export, evaluate and the summary read it. Everything downstream reads one
malignant logit per image from the network, and the validation scores that are written beside it.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, Strict

from components.common.artifacts.class_weight import read_logit_offset
from components.common.artifacts.folder import Artifact, open_artifact
from components.common.artifacts.json_file import Document, read_json, read_record, write_json
from components.common.artifacts.policy import DecisionPolicy
from components.common.artifacts.scores import Scores, load_scores
from components.common.runtime.errors import ArtifactError

NETWORK = "model.keras"
FACTS = "model.json"
VAL_SCORES = "val_probs.npz"
TRAINING_CONFIG = "training_config.json"
ENVIRONMENT = "environment.json"
HISTORY = "history.csv"
ENSEMBLE = "ensemble.json"
SELECTION = "selection.json"

SCHEMA = "lesionflow.model/1"
_SCHEMAS = {
    TRAINING_CONFIG: "lesionflow.training_config/1",
    ENVIRONMENT: "lesionflow.environment/1",
    ENSEMBLE: "lesionflow.ensemble/1",
    SELECTION: "lesionflow.selection/1",
}

Whole = Annotated[int, Strict(), Field(ge=1)]


class ModelFacts(Document):
    """Content of `model.json`: what serving must know to prepare an image for the network.

    Attributes:
        architecture: backbone; those of an ensemble's members joined by `+`.
        image_size: height and width in pixels that the network takes.
        target: what was trained on; the network's output is one malignant logit for both.
        classes: diagnosis codes in the order of the diagnosis target; empty for the binary one.
        record_size: short side in pixels that images were shrunk to before; None: they were not shrunk.
        jpeg_quality: of the records; None where they hold the original bytes.
        parameters: numbers in the network, trained or not.
        members: how many networks an ensemble averages; None for a single one.
    """

    architecture: Annotated[str, Field(min_length=1)]
    image_size: tuple[Whole, Whole]
    target: Literal["binary", "diagnosis"] = "binary"
    classes: tuple[str, ...] = ()
    record_size: Whole | None = None
    jpeg_quality: Whole | None = None
    parameters: Whole | None = None
    members: Whole | None = None

    def record(self) -> dict[str, Any]:
        """As it stands in the file, without the schema's name; sorted, as the file is."""
        return dict(sorted(self.model_dump(mode="json", exclude_unset=True).items()))

    def save(self, folder: Path) -> None:
        """Writes `model.json`."""
        write_json(folder / FACTS, {"schema": SCHEMA, **self.record()})


@dataclass(frozen=True)
class Model:
    """A finished model artifact.

    Attributes:
        artifact: folder, digest and file hashes.
        facts: content of `model.json`.
        training_config: every parameter of training; for an ensemble those that its members share.
        environment: commit, image, versions and device; for an ensemble what its members share.
        ensemble: content of `ensemble.json`; empty for a single model.
        selection: content of `selection.json`; empty for a model that was not chosen from several.
        history: rows of `history.csv`, as text; empty for an ensemble.
    """

    artifact: Artifact
    facts: ModelFacts
    training_config: dict[str, Any]
    environment: dict[str, Any]
    ensemble: dict[str, Any]
    selection: dict[str, Any]
    history: list[dict[str, str]]

    @property
    def path(self) -> Path:
        """The folder."""
        return self.artifact.path

    @property
    def network(self) -> Path:
        """The Keras file."""
        return self.path / NETWORK

    def sha256(self, name: str) -> str:
        """sha256 (hex) of one of its files.

        Raises:
            ArtifactError: there is no such file.
        """
        if name not in self.artifact.files:
            raise ArtifactError(f"{self.path / name}: missing; the model artifact is incomplete, train again")
        return self.artifact.files[name]

    def val_scores(self) -> Scores:
        """The validation scores, uncalibrated."""
        return load_scores(self.path / VAL_SCORES)

    def logit_offset(self) -> float:
        """ln(w1 / w0) of the class weights used in training, which shift the logit by as much."""
        return read_logit_offset(self.path)

    def history_column(self, name: str) -> list[float]:
        """The finite numbers of a column of `history.csv`; empty where there is no such column."""
        values = [float(row[name]) for row in self.history if row.get(name)]
        return values if all(map(math.isfinite, values)) else []

    def check_policy(self, policy: DecisionPolicy) -> None:
        """Refuses a policy that was chosen on the scores of another model.

        Raises:
            ArtifactError: the sha256 of the network or of its validation scores is not the policy's.
        """
        for name, expected in ((NETWORK, policy.model_sha256), (VAL_SCORES, policy.val_probs_sha256)):
            received = self.sha256(name)
            if received != expected:
                raise ArtifactError(
                    f"policy {policy.policy_id} belongs to a {name} with sha256 {expected[:12]}, {self.path} holds "
                    f"{received[:12]}; give the model that this policy was chosen on, or calibrate this one"
                )


def open_model(path: Path) -> Model:
    """Opens a model artifact; every file is hashed and every record read.

    Raises:
        ArtifactError: not a model artifact, a file is missing, added or changed, or a record is damaged.
    """
    artifact = open_artifact(path, "model")
    return Model(
        artifact=artifact,
        facts=read_facts(path),
        training_config=_read(path, TRAINING_CONFIG),
        environment=_read(path, ENVIRONMENT),
        ensemble=_read(path, ENSEMBLE) if ENSEMBLE in artifact.files else {},
        selection=_read(path, SELECTION) if SELECTION in artifact.files else {},
        history=_read_history(path / HISTORY) if HISTORY in artifact.files else [],
    )


def read_facts(folder: Path) -> ModelFacts:
    """Reads `model.json`.

    Raises:
        ArtifactError: missing, not such a file, or a field has a value it cannot have; names the first.
    """
    return read_record(folder / FACTS, SCHEMA, ModelFacts, "train again")


def write_record(folder: Path, name: str, content: Mapping[str, Any]) -> None:
    """Writes `training_config.json`, `environment.json`, `ensemble.json` or `selection.json`, by its name."""
    write_json(folder / name, {"schema": _SCHEMAS[name], **content})


def _read(folder: Path, name: str) -> dict[str, Any]:
    record = read_json(folder / name, _SCHEMAS[name])
    record.pop("schema")
    return record


def _read_history(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))
