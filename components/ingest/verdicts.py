"""Verdicts about rows: what the diagnosis says, and whether all images of a lesion agree.

Rules: a diagnosis the policy does not know gives unknown_diagnosis, one it excludes excluded_diagnosis (left out
on purpose, so not lost). Where images of one lesion have different labels, all of them get
conflicting_diagnosis: nobody can say which is right. Different diagnoses with the same label are only noted, and
so are labels of the table that say otherwise than the policy says of its diagnoses.
"""

from __future__ import annotations

import pandas as pd

from components.common.artifacts.index import Verdict
from components.ingest.labels import LabelPolicy


def labels_of(table: pd.DataFrame, policy: LabelPolicy) -> pd.Series[int]:
    """1 malignant, 0 benign, -1 excluded or unknown, row by row."""
    by_policy = {dx: -1 if (label := policy.label(dx)) is None else label for dx in table["dx"].unique()}
    given = table["malignant_label"]
    return given.where(given >= 0, table["dx"].map(by_policy)).astype("int8").rename("label")


def row_verdicts(table: pd.DataFrame, label: pd.Series[int], policy: LabelPolicy) -> tuple[pd.DataFrame, list[str]]:
    """Verdict and reason of each row (both empty where nothing is wrong with it), and notes."""
    found = pd.DataFrame({"verdict": "", "reason": ""}, index=table.index, dtype="str")
    for dx in table.loc[label < 0, "dx"].unique():
        found.loc[(label < 0) & (table["dx"] == dx), ["verdict", "reason"]] = _unlabelled(dx, policy)
    labelled = table[["lesion_id", "image_id", "dx"]].assign(label=label)[label >= 0]
    by_lesion = labelled.groupby("lesion_id", sort=False)[["label", "dx"]].nunique()
    conflicting = by_lesion.index[by_lesion["label"] > 1]
    for lesion, rows in labelled[labelled["lesion_id"].isin(conflicting)].groupby("lesion_id", sort=False):
        codes = ", ".join(f"{dx} ({image_id})" for dx, image_id in zip(rows["dx"], rows["image_id"], strict=True))
        reason = f"images of lesion {lesion} have different labels: {codes}"
        found.loc[rows.index, ["verdict", "reason"]] = (str(Verdict.CONFLICTING_DIAGNOSIS), reason)
    several = by_lesion.index[(by_lesion["label"] == 1) & (by_lesion["dx"] > 1)]
    notes = []
    if len(several):
        notes.append(f"{len(several)} lesions have several diagnoses with the same label, the first is {several[0]}")
    return found, [*notes, *_disagreement(table, label, policy)]


def _disagreement(table: pd.DataFrame, label: pd.Series[int], policy: LabelPolicy) -> list[str]:
    if "stated_label" not in table:
        return []
    stated = table["stated_label"]
    other = table.loc[(stated >= 0) & (label >= 0) & (stated != label), "image_id"]
    note = f"the table has diagnoses and labels; policy {policy.name} decides by the diagnosis"
    if other.empty:
        return [note]
    return [f"{note}, against the table's label in {len(other)} rows, the first is {other.iloc[0]}"]


def _unlabelled(dx: str, policy: LabelPolicy) -> tuple[str, str]:
    if policy.knows(dx):
        return str(Verdict.EXCLUDED_DIAGNOSIS), f"policy {policy.name} leaves {dx} out"
    if not dx:
        return str(Verdict.UNKNOWN_DIAGNOSIS), "the table has no diagnosis"
    known = ", ".join((*policy.malignant, *policy.benign, *policy.excluded))
    return str(Verdict.UNKNOWN_DIAGNOSIS), f"{dx!r} is not in policy {policy.name} ({known})"
