"""`card.json` of a bundle: everything its card needs, so that the card can be written again without the inputs."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

from pydantic import ConfigDict, Field, field_validator

from components.common.artifacts.calibration import Calibration, Recalibration
from components.common.artifacts.class_weight import CLASS_WEIGHT
from components.common.artifacts.index import read_index
from components.common.artifacts.json_file import Document, FileDocument, read_object
from components.common.artifacts.lineage import GENERATED, generated_notice
from components.common.artifacts.model import Model, ModelFacts
from components.common.artifacts.split import read_record
from components.common.bundle import layout
from components.common.bundle.card_text import training_history
from components.common.bundle.labels import Labels
from components.common.bundle.parity_record import FormatFile, Parity, read_formats
from components.common.bundle.refusal import BEFORE, read_refusal


class Chosen(Document):
    """`calibration.json`, as far as there is one: an adjusted bundle has the parameters of its new rule only.

    Attributes:
        config: parameters of calibrate; None where nobody recorded them.
        why: why this calibrator; empty where nobody recorded it.
    """

    model_config = ConfigDict(extra="allow")

    config: dict[str, Any] | None = None
    why: str = ""


class Adjusted(Recalibration):
    """The recalibration behind an adjusted bundle.

    Attributes:
        notice: what has to stand over everything said of the site's images.
        left_out: a sentence for each file of the parent that could not be adjusted.
    """

    notice: str = ""
    left_out: list[str] = Field(default_factory=list)


class CardFacts(FileDocument):
    """Content of `card.json`.

    Attributes:
        model: facts of the network.
        training: every parameter of training.
        environment: commit, versions and device of training.
        history: epochs, seconds and best validation figures.
        ensemble: content of `ensemble.json`; empty for a single model.
        selection: content of `selection.json`; empty for a model that was not chosen from several.
        class_weight: content of `class_weight.json`; empty where there is none.
        calibration: how the policy was chosen.
        policy: content of `decision_policy.json`.
        split: content of `split.json`; empty where export was given no split.
        labels: content of `labels.json`.
        preprocessing: content of `preprocessing.json`.
        parity: content of `parity.json`.
        formats: the further files, by format.
        refusal: what is refused as not dermoscopic, in a sentence.
        notice: what has to stand over everything said of the images.
        recalibration: of an adjusted bundle; None for one that was exported.
    """

    FILE: ClassVar[str] = layout.FACTS
    SCHEMA: ClassVar[str] = "lesionflow.card/1"

    model: ModelFacts
    training: dict[str, Any]
    environment: dict[str, Any]
    history: dict[str, Any]
    ensemble: dict[str, Any] = Field(default_factory=dict)
    selection: dict[str, Any] = Field(default_factory=dict)
    class_weight: dict[str, Any]
    calibration: Chosen
    policy: dict[str, Any]
    split: dict[str, Any]
    labels: Labels
    preprocessing: dict[str, Any]
    parity: Parity
    formats: dict[str, FormatFile]
    refusal: str = BEFORE.words
    notice: str = ""
    recalibration: Adjusted | None = None

    @field_validator("model", mode="before")
    @classmethod
    def _of_an_earlier_version(cls, value: Any) -> Any:
        """Version 0.1 left the schema of `model.json` in it."""
        return {k: v for k, v in value.items() if k != "schema"} if isinstance(value, dict) else value


def collect_facts(folder: Path, model: Model, policy: Path, split: Path | None) -> CardFacts:
    """What the card of an exported bundle says.

    Args:
        folder: the bundle in the making, with policy, preprocessing, labels and parity report.
        model: model artifact.
        policy: policy artifact.
        split: split artifact, when there is one.
    """
    return CardFacts(
        model=model.facts,
        training=model.training_config,
        environment=model.environment,
        history=training_history(model),
        ensemble=model.ensemble,
        selection=model.selection,
        class_weight=_optional(model.path / CLASS_WEIGHT),
        calibration=Chosen(**_optional(policy / Calibration.FILE)),
        policy=read_object(folder / layout.POLICY),
        split=asdict(read_record(split)) if split else {},
        labels=Labels.read(folder),
        preprocessing=read_object(folder / layout.PREPROCESSING),
        parity=Parity.read(folder),
        formats=read_formats(folder),
        refusal=read_refusal(folder).words,
        notice=_notice(split) if split else "",
    )


def _notice(split: Path) -> str:
    """What has to stand over a card whose images were drawn by a program."""
    sources = read_index(split, ["dataset"])["dataset"]
    return generated_notice(int(sources.str.startswith(GENERATED).sum()), len(sources))


def _optional(path: Path) -> dict[str, Any]:
    return read_object(path) if path.is_file() else {}
