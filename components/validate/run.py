"""Validate: measures a finished bundle on the labelled images of another clinic, and writes the report."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from components.common.artifacts.folder import Artifact, new_artifact, open_artifact
from components.common.artifacts.index import THUMBNAIL, read_account, read_index
from components.common.artifacts.json_file import write_json
from components.common.artifacts.metrics import Metrics
from components.common.artifacts.policy import FILE as POLICY
from components.common.artifacts.remote import local_artifact, refuse_other
from components.common.artifacts.scores import TEST_SCORES, Scores, save_scores
from components.common.artifacts.validation import EXTERNAL_SCORES, OVERLAP, UNLABELLED, Validation
from components.common.bundle import layout
from components.common.bundle.card import open_evaluation
from components.common.bundle.fingerprints import fingerprints_chosen_on, read_fingerprints
from components.common.bundle.handover import read_internal_test
from components.common.bundle.labels import Labels
from components.common.bundle.load import Bundle, load_parts
from components.common.bundle.signing import check_signature
from components.common.imaging.picture_key import picture_keys
from components.common.runtime.errors import DataError
from components.common.runtime.words import counted
from components.evaluate import context as about
from components.evaluate.analysis import Settings
from components.evaluate.scoring import score, slice_columns
from components.validate.compare import Place, common_names, compare, labelling, size_of, verdict
from components.validate.config import ValidateConfig
from components.validate.flow import trace
from components.validate.material import Material, refuse_overlap, sort_images, units_of
from components.validate.pages import Found, write_pages

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ValidateResult:
    """A finished validation."""

    path: Path
    metrics: Metrics
    record: Validation
    scores: Scores


def run(
    config: ValidateConfig, bundle: str, index: Path, internal: str, out: Path, key: Path | None = None
) -> ValidateResult:
    """Shows the bundle a clinic's images, compares with its internal test, and writes the validation artifact `out`.

    Args:
        config: parameters.
        bundle: folder or URI of the bundle, which stays as it is.
        index: index artifact of the clinic's images.
        internal: folder or URI of the bundle's own evaluation; empty takes what the bundle carries.
        out: folder for the artifact.
        key: public key or certificate by which the bundle must be signed; None: it need not be.

    Raises:
        ArtifactError: an artifact is damaged, the evaluation is of another bundle, or the signature is not right.
        DataError: the bundle has seen too many of the images, one class is missing, or an image was changed since
            it was ingested.
    """
    with TemporaryDirectory() as scratch:
        source = local_artifact(bundle, "bundle", Path(scratch) / "bundle")
        refuse_other(source, "bundle", config.bundle_digest)
        made_of = {"bundle": open_artifact(source, "bundle"), "index": open_artifact(index, "index")}
        if key is not None:
            check_signature(made_of["bundle"], key)
        judged = _internal(internal, made_of["bundle"], Path(scratch) / "internal")
        if judged is not None:
            made_of["evaluation"] = judged
        material = sort_images(read_index(index), read_fingerprints(source))
        refuse_overlap(material.overlap, config.max_overlap_pct)
        _refuse_one_class(material.labelled["label"], "labelled images that the bundle has not seen")
        loaded = load_parts(made_of["bundle"])  # its files were hashed when it was opened
        return _validated(config, loaded, made_of, material, out)


def _validated(
    config: ValidateConfig, loaded: Bundle, made_of: Mapping[str, Artifact], material: Material, out: Path
) -> ValidateResult:
    scores, unread = score(loaded, material.labelled, config.batch_size, "external")
    _refuse_one_class(scores.label, f"labelled images left ({counted(len(unread), 'image')} could not be read)")
    rows = material.labelled.set_index("image_id").loc[scores.image_id.tolist()].reset_index()
    apart = _scored_apart(loaded, material.unlabelled, config.batch_size)
    columns = slice_columns(rows)
    index = made_of["index"].path
    record = _record(config, made_of, loaded, material, (scores, columns.get("dx")), unread)
    uri = dict(zip(rows["image_id"], rows["uri"], strict=True))
    context = {
        "schema": about.SCHEMA,
        "settings": {"resamples": config.resamples, "seed": config.seed},
        "provenance": about.provenance(made_of),
        "cases": about.case_records(scores, loaded.policy, config.cases, columns.get("dx"), uri),
    }
    lineage = trace(read_index(index), material, unread, scores)
    with new_artifact(out, "validation", {name: artifact.digest for name, artifact in made_of.items()}) as folder:
        save_scores(folder / EXTERNAL_SCORES, scores, columns)
        loaded.policy.save(folder / POLICY)
        apart.to_csv(folder / UNLABELLED, index=False, lineterminator="\n")
        fingerprints_chosen_on(material.labelled, picture_keys(material.labelled[THUMBNAIL])).save(folder)
        named = material.seen[["image_id", "lesion_id", "how", "part"]]
        named.to_csv(folder / OVERLAP, index=False, lineterminator="\n")
        write_json(folder / about.FILE, context)
        record.save(folder)
        found = Found(scores, columns, loaded.policy, record, lineage, context, folder / EXTERNAL_SCORES)
        metrics = write_pages(found, Settings(config.resamples, config.seed), folder)
    return ValidateResult(out, metrics, record, scores)


def _record(
    config: ValidateConfig,
    made_of: Mapping[str, Artifact],
    loaded: Bundle,
    material: Material,
    scored: tuple[Scores, npt.NDArray[np.str_] | None],
    unread: list[dict[str, str]],
) -> Validation:
    """What the first screen says."""
    scores, diagnosis = scored
    account = read_account(made_of["index"].path)["label_policy"]
    names = account.get("names", {})
    here = Place(scores, common_names(diagnosis, names) if diagnosis is not None else None)
    there = _there(made_of, loaded, names)
    figures, mix = compare(here, there, loaded.policy, config.resamples, config.seed)
    labels = Labels.read(loaded.artifact.path).diagnoses
    shown = dict(zip(common_names(labels, names).tolist(), labels.values(), strict=True))
    # what is not dermoscopy was read, and counts as referred in every figure
    sent_on = [layout.STATUSES[layout.NOT_DERMOSCOPY]] * int(scores.not_dermoscopy.sum())
    reasons = [one["reason"] for one in unread] + sent_on
    refused = pd.Series(reasons, dtype="str").value_counts()
    return Validation(
        site=config.site,
        policy_id=loaded.policy.policy_id,
        bundle=loaded.artifact.digest,
        here=size_of(scores),
        there=size_of(there.scores) if there is not None else None,
        verdict=verdict(scores, loaded.policy, units_of(list(material.labelled.columns))),
        figures=figures,
        overlap=material.overlap,
        refused={str(reason): int(n) for reason, n in sorted(refused.items())},
        refused_share=len(reasons) / len(material.labelled),
        refuses=loaded.refusal.words,
        refusal_reliable=loaded.refusal.reliable,
        unlabelled={str(why): int(n) for why, n in sorted(material.unlabelled["verdict"].value_counts().items())},
        mix=mix,
        labelling=labelling(str(account.get("name", "")), here, shown),
    )


def _internal(uri: str, bundle: Artifact, scratch: Path) -> Artifact | None:
    if not uri:
        return None
    return open_evaluation(local_artifact(uri, "evaluation", scratch), bundle)


def _there(made_of: Mapping[str, Artifact], loaded: Bundle, names: Mapping[str, Any]) -> Place | None:
    """The internal test: of the evaluation that was given, else what the bundle carries; None where that is nothing."""
    if "evaluation" in made_of:
        path = made_of["evaluation"].path / TEST_SCORES
    elif layout.INTERNAL_SCORES in loaded.artifact.files:
        path = loaded.artifact.path / layout.INTERNAL_SCORES
    else:
        log.warning(
            "the bundle does not carry its internal test: give its evaluation as internal, or a bundle written by "
            "`lesionflow bundle handover`"
        )
        return None
    scores, diagnosis = read_internal_test(path, loaded.policy)
    return Place(scores, common_names(diagnosis, names) if diagnosis is not None else None)


def _scored_apart(loaded: Bundle, rows: pd.DataFrame, batch_size: int) -> pd.DataFrame:
    """Predictions for the images without a usable label, with the reason why they have none."""
    listed = rows[["image_id", "lesion_id", "dx", "verdict", "reason"]].reset_index(drop=True)
    empty = listed.assign(logit=np.nan, probability=np.nan, decision="")
    if not len(rows):
        return empty
    # scores need a label; this one is written nowhere
    scores, _ = score(loaded, rows.assign(label=0), batch_size, "unlabelled")
    place = scores.rows_of(listed["image_id"].to_numpy(np.str_))
    read = place >= 0
    empty.loc[read, "logit"] = scores.logit[place[read]]
    empty.loc[read, "probability"] = scores.probability[place[read]]
    decided = np.where(loaded.policy.decide(scores.logit[place[read]]), "malignant", "benign")
    empty.loc[read, "decision"] = np.where(scores.not_dermoscopy[place[read]], "refer", decided)
    return empty.assign(decision=empty["decision"].where(read, "not readable"))


def _refuse_one_class(label: pd.Series[int] | npt.NDArray[np.int8], which: str) -> None:
    malignant = int((label == 1).sum())
    if not 0 < malignant < len(label):
        raise DataError(
            f"{len(label)} {which}, {malignant} of them malignant: a validation needs both classes; give more images, "
            "or use lesionflow predict, which needs no labels"
        )
