"""Evaluate: measures the exported bundle on the original bytes of the test images, and writes the report."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.common.artifacts.characteristics import FILE as CHARACTERISTICS
from components.common.artifacts.folder import Artifact, new_artifact, open_artifact
from components.common.artifacts.json_file import write_atomic, write_json
from components.common.artifacts.ledger import FILE as OPENINGS
from components.common.artifacts.ledger import Opening, append, now, save_openings
from components.common.artifacts.lineage import FILE as LINEAGE
from components.common.artifacts.metrics import Metrics
from components.common.artifacts.model import VAL_SCORES, Model, open_model
from components.common.artifacts.place import refuse_inside
from components.common.artifacts.policy import FILE as POLICY
from components.common.artifacts.records_manifest import RecordsManifest, read_manifest
from components.common.artifacts.scores import TEST_SCORES, Scores, fetch_scores, save_scores
from components.common.artifacts.split import Split
from components.common.bundle.load import Bundle, load_parts
from components.common.runtime.session import CHECKPOINT_ROOT_VARIABLE
from components.common.runtime.source import commit_text
from components.evaluate import context as about
from components.evaluate.analysis import Settings
from components.evaluate.belongs import check_together, refuse_seen, refuse_val_overlap
from components.evaluate.characteristics import characteristics
from components.evaluate.config import EvaluateConfig
from components.evaluate.gate import Verdict
from components.evaluate.lineage import trace
from components.evaluate.members import MemberRecorder
from components.evaluate.regenerate import render
from components.evaluate.scoring import lost_images, open_split, score, slice_columns
from components.evaluate.shortcuts import control_scores

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class EvaluateResult:
    """A finished evaluation."""

    path: Path
    metrics: Metrics
    verdicts: list[Verdict]
    scores: Scores


def run(
    config: EvaluateConfig, bundle: Path, split: Path, model: Path | None, records: Path | None, out: Path
) -> EvaluateResult:
    """Scores the test split with the bundle and writes numbers and report; a missed gate is not an error here.

    Args:
        config: parameters.
        bundle: bundle artifact of export.
        split: split artifact; its test images are read from their original URIs.
        model: model artifact, for validation scores and training curve.
        records: records artifact, for data quality.
        out: folder for the evaluation artifact.

    Raises:
        ArtifactError: an artifact is damaged, or they do not belong together.
        ConfigError: nothing can be written to the ledger, or `out` lies inside an image root of the split.
        DataError: test lesions overlap validation or train, or images cannot be read or were changed.
    """
    opened = _open(config, bundle, split, model, records, out)
    made_of, loaded, trained = opened.made_of, opened.bundle, opened.model
    openings = _note_opening(config.ledger, opened.split.record.sha256, made_of["bundle"].digest)
    measured = _measure(opened, config.batch_size)
    lineage, table1 = trace(split, opened.split, opened.manifest, measured.unread), characteristics(opened.split)
    context = _context(config, opened, measured)
    with new_artifact(out, "evaluation", {name: artifact.digest for name, artifact in made_of.items()}) as folder:
        save_scores(folder / TEST_SCORES, measured.scores, measured.columns)
        loaded.policy.save(folder / POLICY)
        if trained is not None:
            write_atomic(folder / VAL_SCORES, (trained.path / VAL_SCORES).read_bytes())
        write_json(folder / about.FILE, context)
        lineage.save(folder / LINEAGE)
        table1.save(folder / CHARACTERISTICS)
        if openings:
            save_openings(folder / OPENINGS, openings)
        metrics, verdicts = render(
            probs=folder / TEST_SCORES,
            val_probs=folder / VAL_SCORES if model is not None else None,
            policy=folder / POLICY,
            champion=opened.champion,
            context=context,
            beside=folder,
            settings=Settings(config.resamples, config.seed),
            gate=config.gate,
            folder=folder,
        )
    return EvaluateResult(out, metrics, verdicts, measured.scores)


@dataclass(frozen=True)
class _Opened:
    """What an evaluation reads, checked to belong together; no test image has been looked at.

    Attributes:
        made_of: the artifacts by kind.
        bundle: the loaded bundle.
        split: the split.
        test: rows of its usable test images.
        model: the model, if it was given.
        val: its validation scores.
        manifest: of the records, if they were given.
        champion: scores of the model to compare with, if there is one.
    """

    made_of: dict[str, Artifact]
    bundle: Bundle
    split: Split
    test: pd.DataFrame
    model: Model | None
    val: Scores | None
    manifest: RecordsManifest | None
    champion: Scores | None


def _open(
    config: EvaluateConfig, bundle: Path, split: Path, model: Path | None, records: Path | None, out: Path
) -> _Opened:
    """Opens what `run` was given and refuses what can be refused before the test set is opened."""
    trained = open_model(model) if model is not None else None
    made_of = {"bundle": open_artifact(bundle, "bundle"), "split": open_artifact(split, "split")}
    if trained is not None:
        made_of["model"] = trained.artifact
    if records is not None:
        made_of["records"] = open_artifact(records, "records")
    divided = open_split(split)
    refuse_inside(out, (root["uri"] for root in divided.record.roots))
    champion = fetch_scores(config.champion) if config.champion else None
    loaded = load_parts(made_of["bundle"])  # its files were hashed when it was opened
    check_together(made_of["bundle"], made_of["split"], trained, made_of.get("records"), loaded.policy)
    refuse_seen(made_of["bundle"], made_of["split"], divided)
    return _Opened(
        made_of,
        loaded,
        divided,
        divided.usable("test"),
        trained,
        trained.val_scores() if trained is not None else None,
        read_manifest(records) if records is not None else None,
        champion,
    )


@dataclass(frozen=True)
class _Measured:
    """The bundle's scores of the test images, in their order, and what is kept beside each.

    Attributes:
        scores: one per image that could be read.
        columns: facts on each image, for slices and controls, and the logits of members.
        uri: address by image id.
        unread: images that could not be read, and why.
    """

    scores: Scores
    columns: dict[str, Any]
    uri: dict[str, str]
    unread: list[dict[str, str]]


def _measure(opened: _Opened, batch_size: int) -> _Measured:
    recorder = MemberRecorder(opened.bundle)
    scores, unread = score(recorder, opened.test, batch_size)
    rows = opened.test.set_index("image_id").loc[scores.image_id.tolist()].reset_index()
    controls = control_scores(opened.split.usable("train"), rows)
    columns = {**slice_columns(rows), **controls, **recorder.columns(opened.test, scores)}
    if opened.val is not None:
        refuse_val_overlap(scores, opened.val)
    return _Measured(scores, columns, dict(zip(rows["image_id"], rows["uri"], strict=True)), unread)


def _context(config: EvaluateConfig, opened: _Opened, measured: _Measured) -> dict[str, Any]:
    """The content of `context.json`."""
    split, policy = opened.split, opened.bundle.policy
    return {
        "schema": about.SCHEMA,
        "settings": {"resamples": config.resamples, "seed": config.seed, "gate": config.gate},
        "champion": Path(config.champion).name,
        "refusal": opened.bundle.refusal.words,
        "provenance": about.provenance(opened.made_of),
        "training": about.training(opened.model),
        "data": about.data_quality(opened.manifest, lost_images(split.part("test")), measured.unread, split.record),
        "cases": about.case_records(measured.scores, policy, config.cases, measured.columns.get("dx"), measured.uri),
    }


def _note_opening(ledger: str, split: str, bundle: str) -> list[Opening]:
    """Notes one opening before the first test image is read: what fails afterwards has opened the test set, too.

    Args:
        ledger: folder or URI; empty: the checkpoint root, where the pod or the run was told one.
        split: sha256 of the split.
        bundle: digest of the bundle.

    Returns:
        Every opening of this test set, this one last; empty where no ledger is kept.
    """
    place = ledger or os.environ.get(CHECKPOINT_ROOT_VARIABLE, "")
    return append(place, Opening(split=split, bundle=bundle, commit=commit_text(), time=now())) if place else []
