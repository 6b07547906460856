"""Verdicts about rows: what the diagnosis says, and whether all images of a lesion agree.

Rules: a code the policy does not know gives unknown_diagnosis, one it excludes excluded_diagnosis (left out
on purpose, so not lost). Where images of one lesion have different labels, all of them get
conflicting_diagnosis: nobody can say which is right. Different codes with the same label are only noted, and
so are labels of the table that say otherwise than the policy says of its diagnoses.
"""

from __future__ import annotations

from components.common.parquet import Columns
from components.ingest.labels import LabelPolicy

EXCLUDED = "excluded_diagnosis"


def labels_of(table: Columns, policy: LabelPolicy) -> list[int]:
    """1 malignant, 0 benign, -1 excluded or unknown, row by row."""
    by_code = {dx: policy.label(dx) for dx in set(table["dx"])}
    by_policy = {dx: -1 if label is None else label for dx, label in by_code.items()}
    return [
        given if given >= 0 else by_policy[dx] for given, dx in zip(table["malignant_label"], table["dx"], strict=True)
    ]


def row_verdicts(table: Columns, label: list[int], policy: LabelPolicy) -> tuple[list[tuple[str, str]], list[str]]:
    """Verdict and reason of each row (both empty where nothing is wrong with it), and notes."""
    verdicts = [("", "")] * len(label)
    dx, labelled = table["dx"], dict[str, list[int]]()
    for i, lesion in enumerate(table["lesion_id"]):
        if label[i] < 0:
            verdicts[i] = _unlabelled(dx[i], policy)
        else:
            labelled.setdefault(lesion, []).append(i)
    several = []
    for lesion, rows in labelled.items():
        if len({label[i] for i in rows}) > 1:
            codes = ", ".join(f"{dx[i]} ({table['image_id'][i]})" for i in rows)
            for i in rows:
                verdicts[i] = ("conflicting_diagnosis", f"images of lesion {lesion} have different labels: {codes}")
        elif len({dx[i] for i in rows}) > 1:
            several.append(lesion)
    notes = []
    if several:
        notes.append(f"{len(several)} lesions have several diagnoses with the same label, the first is {several[0]}")
    return verdicts, [*notes, *_disagreement(table, label, policy)]


def _disagreement(table: Columns, label: list[int], policy: LabelPolicy) -> list[str]:
    if "stated_label" not in table:
        return []
    pairs = zip(table["image_id"], table["stated_label"], label, strict=True)
    other = [image for image, stated, ours in pairs if stated >= 0 and ours >= 0 and stated != ours]
    note = f"the table has diagnoses and labels; policy {policy.name} decides by the diagnosis"
    if not other:
        return [note]
    return [f"{note}, against the table's label in {len(other)} rows, the first is {other[0]}"]


def _unlabelled(dx: str, policy: LabelPolicy) -> tuple[str, str]:
    if policy.knows(dx):
        return EXCLUDED, f"policy {policy.name} leaves {dx} out"
    if not dx:
        return "unknown_diagnosis", "the table has no diagnosis"
    known = ", ".join((*policy.malignant, *policy.benign, *policy.excluded))
    return "unknown_diagnosis", f"{dx!r} is not in policy {policy.name} ({known})"
