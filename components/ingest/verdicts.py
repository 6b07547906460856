"""Verdicts about rows: what the diagnosis says, and whether all images of a lesion agree.

Rules: a code the policy does not know gives unknown_diagnosis, one it excludes excluded_diagnosis (left out
on purpose, so not lost). Where images of one lesion have different labels, all of them get
conflicting_diagnosis: nobody can say which is right. Different codes with the same label are only noted, and
so are labels of the table that say otherwise than the policy says of its diagnoses.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from components.common.labels import LabelPolicy

EXCLUDED = "excluded_diagnosis"


def labels_of(table: pd.DataFrame, policy: LabelPolicy) -> npt.NDArray[np.int8]:
    """1 malignant, 0 benign, -1 excluded or unknown, row by row."""
    by_code = {dx: policy.label(dx) for dx in table["dx"].unique()}
    label = table["dx"].map({dx: -1 if value is None else value for dx, value in by_code.items()}).to_numpy(np.int8)
    given = table["malignant_label"].to_numpy(np.int8)
    return np.where(given >= 0, given, label).astype(np.int8)


def row_verdicts(
    table: pd.DataFrame, label: npt.NDArray[np.int8], policy: LabelPolicy
) -> tuple[list[tuple[str, str]], list[str]]:
    """Verdict and reason of each row (both empty where nothing is wrong with it), and notes."""
    verdicts = [("", "")] * len(table)
    for i in np.flatnonzero(label < 0):
        verdicts[i] = _unlabelled(str(table["dx"].iloc[i]), policy)
    known = table.assign(label=label)[label >= 0]
    many = known.groupby("lesion_id", sort=False)["label"].transform("nunique") > 1
    for lesion, rows in known[many].groupby("lesion_id", sort=False):
        codes = ", ".join(f"{dx} ({image})" for dx, image in zip(rows["dx"], rows["image_id"], strict=True))
        for i in rows.index:
            verdicts[i] = ("conflicting_diagnosis", f"images of lesion {lesion} have different labels: {codes}")
    alike = known[~many].groupby("lesion_id", sort=False)["dx"].nunique()
    notes = []
    if (alike > 1).any():
        notes.append(
            f"{int((alike > 1).sum())} lesions have several diagnoses with the same label, "
            f"the first is {alike.index[alike > 1][0]}"
        )
    return verdicts, [*notes, *_disagreement(table, label, policy)]


def _disagreement(table: pd.DataFrame, label: npt.NDArray[np.int8], policy: LabelPolicy) -> list[str]:
    if "stated_label" not in table:
        return []
    stated = table["stated_label"].to_numpy(np.int8)
    other = np.flatnonzero((stated >= 0) & (label >= 0) & (stated != label))
    note = f"the table has diagnoses and labels; policy {policy.name} decides by the diagnosis"
    if not len(other):
        return [note]
    first = table["image_id"].iloc[other[0]]
    return [f"{note}, against the table's label in {len(other)} rows, the first is {first}"]


def _unlabelled(dx: str, policy: LabelPolicy) -> tuple[str, str]:
    if policy.knows(dx):
        return EXCLUDED, f"policy {policy.name} leaves {dx} out"
    if not dx:
        return "unknown_diagnosis", "the table has no diagnosis"
    known = ", ".join((*policy.malignant, *policy.benign, *policy.excluded))
    return "unknown_diagnosis", f"{dx!r} is not in policy {policy.name} ({known})"
