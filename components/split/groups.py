"""Groups: images that must share a split, as connected components of (same lesion OR patient OR near-duplicate)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from components.common.artifacts.index import Verdict
from components.common.artifacts.split import SPLITS, Groups
from components.common.runtime.errors import DataError
from components.split.config import SplitConfig
from components.split.near_duplicates.find import Pairs, equal_rows

LESION, PATIENT = "lesion_id", "patient_id"
# images, share of all images and share of the malignant ones from which on a group is pointed out
_LARGE_IMAGES, _LARGE, _LARGE_OF_MALIGNANT = 20, 0.10, 0.25
_WORDS = {LESION: "lesion", PATIENT: "patient"}


def grouping_columns(config: SplitConfig, index: pd.DataFrame) -> list[str]:
    """The columns whose equal values join two images, lesion_id first.

    Raises:
        DataError: the index has no column of a name in `group_by`.
    """
    if config.group_by is None:
        return [LESION, PATIENT] if PATIENT in index and config.recipe != "reference" else [LESION]
    found = [name if name in index else name.lower() for name in config.group_by]  # ingest writes names in lower case
    absent = [asked for asked, name in zip(config.group_by, found, strict=True) if name not in index]
    if absent:
        raise DataError(f"group_by: the index has no column {absent[0]}; it has {', '.join(map(str, index))}")
    return list(dict.fromkeys([LESION, *found]))


def group_ids(rows: pd.DataFrame, columns: Sequence[str], pairs: Pairs | None) -> pd.Series:
    """The group of every row: the alphabetically first lesion of its component.

    Args:
        rows: the images; lesion_id is the image's own id where the table names no lesion.
        columns: columns whose equal values join two images, lesion_id among them.
        pairs: near-duplicates, which also join two images; None: they do not.

    Returns:
        Group ids, labelled as `rows`; equal to lesion_id where nothing joins two lesions.
    """
    edges = [equal_rows(rows[name]) for name in columns]
    if pairs is not None:
        edges.append((pairs.left, pairs.right))
    joined = tuple(np.concatenate(side) for side in zip(*edges, strict=True))
    graph = coo_array((np.ones(len(joined[0]), bool), joined), shape=(len(rows), len(rows)))
    _, component = connected_components(graph, directed=False)
    return rows[LESION].groupby(component).transform("min")


def describe_groups(rows: pd.DataFrame, columns: Sequence[str], by_picture: bool) -> Groups:
    """What the groups of divided rows are, for the record."""
    without = rows[LESION] == rows["image_id"]
    if PATIENT in rows:
        without &= rows[PATIENT] == ""
    groups = rows.groupby("group_id")["label"].agg(["size", "nunique"])
    largest = groups["size"].idxmax()
    inside = rows[rows["group_id"] == largest]
    column, value = _joined_most(inside, columns)
    return Groups(
        known=not bool(without.all()),
        joined_by=[_WORDS.get(name, name) for name in columns] + (["near-duplicate"] if by_picture else []),
        columns=list(columns),
        images_without_ids=int(without.sum()),
        count=len(groups),
        mixed=int((groups["nunique"] > 1).sum()),
        largest=int(groups["size"].max()),
        patients_across_splits=_torn(rows, PATIENT) if PATIENT in rows else None,
        largest_id=str(largest),
        largest_malignant=int(inside["label"].sum()),
        largest_column=column,
        largest_value=value,
        malignant_images=int(rows["label"].sum()),
    )


def count_splits(rows: pd.DataFrame) -> dict[str, dict[str, int]]:
    """`SplitRecord.counts` of divided rows; groups with a malignant or a benign image count where it can be read."""
    return {name: _count(rows[rows["split"] == name]) for name in SPLITS}


def _count(part: pd.DataFrame) -> dict[str, int]:
    readable = part[part["verdict"] == Verdict.OK]
    malignant, benign = (set(readable.loc[readable["label"] == label, "group_id"]) for label in (1, 0))
    return {
        "images": len(part),
        "malignant": int((part["label"] == 1).sum()),
        "benign": int((part["label"] == 0).sum()),
        "lesions": part["lesion_id"].nunique(),
        "groups": part["group_id"].nunique(),
        "malignant_groups": len(malignant),
        "benign_groups": len(benign),
        "mixed_groups": len(malignant & benign),
        "unreadable": len(part) - len(readable),
    }


def group_sentence(groups: Groups, images: int) -> str | None:
    """The largest group and how to make it smaller, if it holds a large share of the images or of malignant ones."""
    size, malignant = groups.largest, groups.largest_malignant
    if size < _LARGE_IMAGES or (size < _LARGE * images and malignant < _LARGE_OF_MALIGNANT * groups.malignant_images):
        return None
    column, value = groups.largest_column, groups.largest_value
    if column:
        way = f"{column} {value!r} joins most of them: if it stands for a missing value, leave those cells empty"
        way += "" if column == LESION else f", or group without {column} (--set 'split.group_by=[]' groups by lesion)"
    else:
        way = (
            f"many small ties join them ({', '.join(groups.joined_by)}): look at near_duplicates.html, and set "
            "split.near_duplicates=report if the pictures are different lesions"
        )
    return (
        f"one group, {groups.largest_id}, holds {size} of {images} images ({100 * size / images:.0f} %) and "
        f"{malignant} of {groups.malignant_images} malignant ones, and has to stay in one split; {way}"
    )


def _joined_most(inside: pd.DataFrame, columns: Sequence[str]) -> tuple[str, str]:
    """The column with one value in most rows of a group, and the value; empty where none is in half of them."""
    found = []
    for column in columns:
        counts = inside.loc[inside[column] != "", column].value_counts()
        if len(counts):
            found.append((int(counts.iloc[0]), column, str(counts.index[0])))
    most, column, value = max(found, key=lambda one: one[0], default=(0, "", ""))
    return (column, value) if 2 * most >= len(inside) else ("", "")


def _torn(rows: pd.DataFrame, column: str) -> int:
    known = rows[rows[column] != ""]
    return int((known.groupby(column)["split"].nunique() > 1).sum())
