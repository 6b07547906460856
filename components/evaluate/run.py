"""Evaluate: measures the exported bundle on the original bytes of the test images, and writes the report."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

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
from components.common.artifacts.records_manifest import read_manifest
from components.common.artifacts.scores import TEST_SCORES, Scores, fetch_scores, save_scores
from components.common.bundle.load import load_parts
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
    trained = open_model(model) if model is not None else None
    made_of = _open(bundle, split, trained, records)
    divided = open_split(split)
    refuse_inside(out, (root["uri"] for root in divided.record.roots))
    champion = fetch_scores(config.champion) if config.champion else None
    loaded = load_parts(made_of["bundle"])  # its files were hashed when it was opened
    check_together(made_of["bundle"], made_of["split"], trained, made_of.get("records"), loaded.policy)
    refuse_seen(made_of["bundle"], made_of["split"], divided)
    val = trained.val_scores() if trained is not None else None
    test = divided.usable("test")
    openings = _note_opening(config.ledger, divided.record.sha256, made_of["bundle"].digest)
    recorder = MemberRecorder(loaded)
    scores, unread = score(recorder, test, config.batch_size)
    rows = test.set_index("image_id").loc[scores.image_id.tolist()].reset_index()
    columns = {**slice_columns(rows), **control_scores(divided.usable("train"), rows), **recorder.columns(test, scores)}
    if val is not None:
        refuse_val_overlap(scores, val)
    uri = dict(zip(rows["image_id"], rows["uri"], strict=True))
    manifest = read_manifest(records) if records is not None else None
    lineage, table1 = trace(split, divided, manifest, unread), characteristics(divided)
    context = {
        "schema": about.SCHEMA,
        "settings": {"resamples": config.resamples, "seed": config.seed, "gate": config.gate},
        "champion": Path(config.champion).name,
        "refusal": loaded.refusal.words,
        "provenance": about.provenance(made_of),
        "training": about.training(trained),
        "data": about.data_quality(manifest, lost_images(divided.part("test")), unread, divided.record),
        "cases": about.case_records(scores, loaded.policy, config.cases, columns.get("dx"), uri),
    }
    with new_artifact(out, "evaluation", {name: artifact.digest for name, artifact in made_of.items()}) as folder:
        save_scores(folder / TEST_SCORES, scores, columns)
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
            champion=champion,
            context=context,
            beside=folder,
            settings=Settings(config.resamples, config.seed),
            gate=config.gate,
            folder=folder,
        )
    return EvaluateResult(out, metrics, verdicts, scores)


def _open(bundle: Path, split: Path, model: Model | None, records: Path | None) -> dict[str, Artifact]:
    made_of = {"bundle": open_artifact(bundle, "bundle"), "split": open_artifact(split, "split")}
    if model is not None:
        made_of["model"] = model.artifact
    if records is not None:
        made_of["records"] = open_artifact(records, "records")
    return made_of


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
