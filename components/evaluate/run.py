"""Evaluate: the exported bundle on the original bytes of the test images, and everything said about it."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from components.common.artifacts.folder import new_artifact, open_artifact
from components.common.artifacts.json_file import write_atomic, write_json
from components.common.artifacts.metrics import Metrics
from components.common.artifacts.model import VAL_SCORES, open_model
from components.common.artifacts.scores import Scores, load_scores, save_scores
from components.common.bundle.load import load_bundle
from components.common.runtime.errors import DataError
from components.evaluate import context as about
from components.evaluate.analysis import Settings
from components.evaluate.config import EvaluateConfig
from components.evaluate.gate import Verdict
from components.evaluate.regenerate import render
from components.evaluate.scoring import lost_images, open_split, refuse_overlap, score, slice_columns
from components.evaluate.shortcuts import control_scores


@dataclass(frozen=True)
class EvaluateResult:
    """A finished evaluation.

    Attributes:
        path: the evaluation artifact.
        metrics: every figure, as in metrics.json.
        verdicts: the gate's conditions, passed or missed.
        scores: the test scores.
    """

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
        ArtifactError: an artifact is damaged, or the policy belongs to another model.
        DataError: test lesions overlap validation or train, ids that do not match, unreadable images.
    """
    made_of = {"bundle": open_artifact(bundle, "bundle"), "split": open_artifact(split, "split")}
    trained = open_model(model) if model is not None else None
    if trained is not None:
        made_of["model"] = trained.artifact
    if records is not None:
        made_of["records"] = open_artifact(records, "records")
    parts = open_split(split)
    test = parts.usable("test")
    champion = _champion(config.champion)
    loaded = load_bundle(bundle)
    if trained is not None:
        trained.check_policy(loaded.policy)
    val = trained.val_scores() if trained is not None else None
    scores, unread = score(loaded, test, config.batch_size)
    rows = test.set_index("image_id").loc[scores.image_id.tolist()].reset_index()
    columns = {**slice_columns(rows), **control_scores(parts.usable("train"), rows)}
    if val is not None:
        refuse_val_overlap(scores, val)
    uri = dict(zip(rows["image_id"], rows["uri"], strict=True))
    record = {
        "schema": about.SCHEMA,
        "settings": {"resamples": config.resamples, "seed": config.seed, "gate": config.gate},
        "champion": Path(config.champion).name,
        "provenance": about.provenance(made_of),
        "training": about.training(trained),
        "data": about.data_quality(records, lost_images(parts.part("test")), unread, parts.record),
        "cases": about.case_records(scores, loaded.policy, config.cases, columns.get("dx"), lambda i: _bytes(uri[i])),
    }
    with new_artifact(out, "evaluation", {name: artifact.digest for name, artifact in made_of.items()}) as folder:
        save_scores(folder / "test_probs.npz", scores, columns)
        loaded.policy.save(folder / "decision_policy.json")
        if trained is not None:
            write_atomic(folder / VAL_SCORES, (trained.path / VAL_SCORES).read_bytes())
        write_json(folder / "context.json", record)
        files = {name: folder / f"{name}.npz" for name in ("test_probs", "val_probs")}
        metrics, verdicts = render(
            probs=files["test_probs"],
            val_probs=files["val_probs"] if model is not None else None,
            policy=folder / "decision_policy.json",
            champion=champion,
            context=record,
            settings=Settings(config.resamples, config.seed),
            gate=config.gate,
            folder=folder,
        )
    return EvaluateResult(out, metrics, verdicts, scores)


def refuse_val_overlap(test: Scores, val: Scores) -> None:
    """Refuses test scores that share lesions with the scores the threshold was chosen on.

    Raises:
        DataError: names one.
    """
    frames = [
        pd.DataFrame({n: getattr(s, n) for n in ("image_id", "lesion_id", "group_id")}).assign(split=name)
        for s, name in ((test, "test"), (val, "val"))
    ]
    refuse_overlap(pd.concat(frames))


def _champion(uri: str) -> Scores | None:
    if not uri:
        return None
    if "://" not in uri:
        path = Path(uri)
        return load_scores(path / "test_probs.npz" if path.is_dir() else path)
    from components.common.storage.store import read_bytes

    with tempfile.TemporaryDirectory() as folder:
        local = Path(folder) / "champion.npz"
        try:
            local.write_bytes(read_bytes(uri))
        except OSError as error:
            raise DataError(f"champion {uri}: cannot be read ({error}); give a readable test_probs.npz") from error
        return load_scores(local)


def _bytes(uri: str) -> bytes:
    from components.common.storage.store import read_bytes

    return read_bytes(uri)
