"""Follows the rows of the clinic's table to the images that all figures are computed on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from components.common.artifacts.index import WITHOUT_LABEL
from components.common.artifacts.lineage import GENERATED, NOTHING, Groups, Lineage, Part
from components.common.artifacts.scores import Scores
from components.evaluate.lineage import counts_of, left_by
from components.validate.material import PATIENT, SEEN, Material

_LISTED = 50


def trace(index: pd.DataFrame, material: Material, unread: Sequence[Mapping[str, str]], scores: Scores) -> Lineage:
    """Counts every row where it left: without a label, seen by the bundle, unusable, not read.

    The lineage is that of an evaluation whose training and validation parts are empty: nothing is trained here.

    Args:
        index: one row per row of the table.
        material: the same, sorted.
        unread: labelled images that the bundle could not read: image_id and reason.
        scores: of those it read.
    """
    seen = index["image_id"].isin(material.seen["image_id"])
    dropped = index["verdict"].isin(WITHOUT_LABEL) | seen
    reasons = {row["image_id"]: row["reason"] for row in unread}
    kept, test = index[~dropped], material.labelled
    failed = test[test["image_id"].isin(list(reasons))]
    malignant = sorted(set(test.loc[test["label"] == 1, "dx"]) - {""})
    part = Part(
        assigned=counts_of(kept),
        unusable=left_by(kept[~kept["image_id"].isin(test["image_id"])], "verdict"),
        usable=counts_of(test),
        lost_in_records=None,
    )
    empty = Part(assigned=NOTHING, unusable=[], usable=NOTHING, lost_in_records=None)
    return Lineage(
        table=counts_of(index),
        lesions=int(index["lesion_id"].nunique()),
        groups=Groups(
            known=bool((index["lesion_id"] != index["image_id"]).any() or PATIENT in index),
            joined_by=["lesion", "patient"] if PATIENT in index else ["lesion"],
            count=len(set(scores.group_id.tolist())),
            patients_across_splits=None,
            contradictions=0,
        ),
        generated=int(index["dataset"].str.startswith(GENERATED).sum()),
        malignant_diagnoses=malignant[:_LISTED],
        dropped=left_by(index.assign(why=index["verdict"].where(~seen, SEEN))[dropped], "why"),
        undivided=NOTHING,
        parts={"train": empty, "val": empty, "test": part},
        near_duplicates=None,
        unread=left_by(failed.assign(status=failed["image_id"].map(reasons)), "status"),
        read=counts_of(test[~test["image_id"].isin(list(reasons))]),
    )
