"""Follows the rows of the table to the test images that were read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import pandas as pd

from components.common.artifacts.index import WITHOUT_LABEL, Verdict, read_index
from components.common.artifacts.lineage import (
    GENERATED,
    Counts,
    Groups,
    Left,
    Lineage,
    NearDuplicates,
    Part,
    SplitName,
)
from components.common.artifacts.records_manifest import RecordsManifest
from components.common.artifacts.split import Split

_COLUMNS = ("image_id", "lesion_id", "dx", "label", "verdict", "dataset")
_LISTED = 50


def trace(folder: Path, split: Split, manifest: RecordsManifest | None, unread: Sequence[Mapping[str, str]]) -> Lineage:
    """Counts every row of the table at the point where it left, or as read.

    Args:
        folder: split artifact; its index holds every row of the table.
        split: the same, as read.
        manifest: the records' manifest; None without records.
        unread: test images that the bundle could not read: image_id and reason.
    """
    table = read_index(folder, _COLUMNS)
    dropped = table["verdict"].isin(WITHOUT_LABEL)
    divided = ~dropped & table["image_id"].isin(split.rows["image_id"])
    test = split.usable("test")
    groups = split.record.groups
    reasons = {row["image_id"]: row["reason"] for row in unread}
    failed = test[test["image_id"].isin(list(reasons))]
    return Lineage(
        table=counts_of(table),
        lesions=int(table["lesion_id"].nunique()),
        groups=Groups(
            known=groups.known,
            joined_by=list(groups.joined_by),
            count=groups.count,
            patients_across_splits=groups.patients_across_splits,
            contradictions=len(split.record.contradictions) if split.record.contradictions_kept else 0,
        ),
        generated=int(table["dataset"].str.startswith(GENERATED).sum()),
        malignant_diagnoses=sorted(set(table.loc[(table["label"] == 1) & ~dropped, "dx"]) - {""})[:_LISTED],
        dropped=left_by(table[dropped], "verdict"),
        undivided=counts_of(table[~dropped & ~divided]),
        parts={name: _part(split.part(name), _lost(manifest, name)) for name in get_args(SplitName)},
        near_duplicates=_near_duplicates(split.record.audit),
        unread=left_by(failed.assign(status=failed["image_id"].map(reasons)), "status"),
        read=counts_of(test[~test["image_id"].isin(list(reasons))]),
    )


def counts_of(rows: pd.DataFrame) -> Counts:
    """Rows by class."""
    malignant, benign = int((rows["label"] == 1).sum()), int((rows["label"] == 0).sum())
    return Counts(images=len(rows), malignant=malignant, benign=benign, unlabelled=len(rows) - malignant - benign)


def left_by(rows: pd.DataFrame, column: str) -> list[Left]:
    """Rows by reason, the most common first; diagnoses of each."""
    out = []
    for reason, n in rows[column].value_counts().items():
        part = rows[rows[column] == reason]
        diagnoses = part["dx"].value_counts().head(_LISTED)
        named = {str(dx) or "none": int(count) for dx, count in sorted(diagnoses.items())}
        out.append((-int(n), Left(reason=str(reason), counts=counts_of(part), diagnoses=named)))
    return [left for _, left in sorted(out, key=lambda pair: (pair[0], pair[1].reason))]


def _part(rows: pd.DataFrame, lost: set[str] | None) -> Part:
    usable = rows[rows["verdict"] == Verdict.OK]
    return Part(
        assigned=counts_of(rows),
        unusable=left_by(rows[rows["verdict"] != Verdict.OK], "verdict"),
        usable=counts_of(usable),
        lost_in_records=None if lost is None else counts_of(usable[usable["image_id"].isin(list(lost))]),
    )


def _lost(manifest: RecordsManifest | None, name: str) -> set[str] | None:
    if manifest is None:
        return None
    return {one.image_id for one in manifest.lost if one.split == name}


def _near_duplicates(audit: Mapping[str, Any]) -> NearDuplicates | None:
    found = audit.get("near_duplicates")
    if not isinstance(found, Mapping):
        return None
    return NearDuplicates(
        pairs=int(found.get("pairs", 0)),
        between_lesions=int(found.get("between_lesions", 0)),
        crossing=int(found.get("crossing", 0)),
    )
