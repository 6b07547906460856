"""The audit that every division has to pass: leaks, absent classes, class shares, and who is in which split.

It compares the names of the groups and shares no hash with the recipe that it checks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from components.common.artifacts.split import SPLITS
from components.common.runtime.errors import DataError
from components.common.statistics.age_bands import UNKNOWN, age_band
from components.split.groups import describe_groups, group_sentence
from components.split.near_duplicates.find import Pairs

_TABLES = {"dx": "dx", "sex": "sex", "site": "localization", "source": "dataset", "age": "age"}
_LISTED = 1000  # pairs across splits


def audit(rows: pd.DataFrame, pairs: Pairs, columns: Sequence[str] = ("lesion_id",)) -> dict[str, Any]:
    """Checks a division and describes it.

    Args:
        rows: image_id, lesion_id, group_id, label and split of each image, and where known dx, sex, localization,
            age and dataset.
        pairs: near-duplicates, as row numbers.
        columns: columns whose equal values must share a split.

    Returns:
        The `audit` part of `split.json`.

    Raises:
        DataError: a group is in two splits, or a class is absent from a split.
    """
    for column in (*columns, "group_id"):  # the cause by its own name first
        refuse_leak(rows, column)
    refuse_absent_class(rows, columns, by_picture=len(pairs) > 0)
    crossing = differ(rows["split"], pairs)
    listed = np.flatnonzero(crossing)[:_LISTED]
    return {
        "leaked_groups": 0,
        "class_shares": class_shares(rows),
        "near_duplicates": {
            "pairs": len(pairs),
            "between_lesions": int(differ(rows["lesion_id"], pairs).sum()),
            "crossing": int(crossing.sum()),
            "crossing_pairs": _described(rows, pairs, listed),
        },
        "tables": {
            name: table(_values(rows, column), rows["split"]) for name, column in _TABLES.items() if column in rows
        },
    }


def refuse_leak(rows: pd.DataFrame, column: str) -> None:
    """Stops if a group, or rows with one value in another column, are in two splits; empty values do not count.

    Raises:
        DataError: names a value, its splits and how many such values there are.
    """
    splits = rows[rows[column] != ""].groupby(column)["split"].nunique()
    leaked = splits.index[splits > 1]
    if len(leaked):
        where = rows.loc[rows[column] == leaked[0], "split"].unique()
        name = column.removesuffix("_id")
        raise DataError(
            f"{name} {leaked[0]} is in {', '.join(one for one in SPLITS if one in where)} at once ({len(leaked)} such "
            f"{name}s): images of one lesion or patient, or near-duplicates, would be trained on and tested on; bring "
            "a split that keeps groups whole, or narrow the groups (split.group_by=[], split.near_duplicates=report)"
        )


def refuse_absent_class(rows: pd.DataFrame, columns: Sequence[str], *, by_picture: bool) -> None:
    """Stops if a split lacks benign or malignant images.

    Args:
        rows: split, label and group_id of each image, and the columns that joined groups.
        columns: these columns.
        by_picture: whether near-duplicates may have joined groups.

    Raises:
        DataError: names the class and the split, with all counts, and the group that is too large, if one is.
    """
    counts = pd.crosstab(rows["split"], rows["label"]).reindex(index=SPLITS, columns=[0, 1], fill_value=0).to_numpy()
    for split, row in zip(SPLITS, counts, strict=True):
        for n, name in zip(row, ("benign", "malignant"), strict=True):
            if n == 0:
                have = "; ".join(f"{one} {b} + {m}" for one, (b, m) in zip(SPLITS, counts, strict=True))
                groups = describe_groups(rows, columns, by_picture)
                way = group_sentence(groups, len(rows)) or "give more data, larger shares or another recipe"
                raise DataError(f"{split} holds no {name} image (benign + malignant: {have}); {way}")


def class_shares(rows: pd.DataFrame) -> dict[str, Any]:
    """Malignant share of each split and its distance from the whole, in percentage points."""
    overall = float(rows["label"].mean())
    out: dict[str, Any] = {"all": {"malignant_share": overall}}
    for split, share in rows.groupby("split")["label"].mean().reindex(SPLITS).items():
        out[str(split)] = {"malignant_share": float(share), "error_points": 100.0 * (float(share) - overall)}
    return out


def differ(values: pd.Series, pairs: Pairs) -> pd.Series:
    """Whether the two images of each pair differ in a column."""
    left, right = (values.iloc[side].reset_index(drop=True) for side in (pairs.left, pairs.right))
    return left != right


def table(values: pd.Series, split: pd.Series) -> dict[str, Any]:
    """Images of each split by value, their share of the split and its distance from the whole (points)."""
    counts = pd.crosstab(values, split).reindex(columns=SPLITS, fill_value=0)
    share = counts / counts.sum()
    error = 100.0 * share.sub(counts.sum(axis=1) / len(values), axis=0)
    return {
        str(value): {
            one: {
                "images": int(counts.loc[value, one]),
                "share": float(share.loc[value, one]),
                "error_points": float(error.loc[value, one]),
            }
            for one in SPLITS
        }
        for value in counts.index
    }


def _values(rows: pd.DataFrame, column: str) -> pd.Series:
    if column == "age":
        return pd.Series(age_band(rows["age"].to_numpy()), rows.index)
    return rows[column].fillna(UNKNOWN).replace("", UNKNOWN)


def _described(rows: pd.DataFrame, pairs: Pairs, which: Any) -> list[dict[str, Any]]:
    sides = [rows.iloc[side[which]] for side in (pairs.left, pairs.right)]
    images, groups, splits = (
        list(zip(*(side[name] for side in sides), strict=True)) for name in ("image_id", "group_id", "split")
    )
    return [
        {"images": list(image), "groups": list(group), "splits": list(split), "distance": float(distance)}
        for image, group, split, distance in zip(images, groups, splits, pairs.distance[which], strict=True)
    ]
