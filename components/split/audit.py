"""The audit every recipe passes: leaks, absent classes, class shares, and who is in which split."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from components.common.errors import DataError
from components.split.duplicates import Pairs
from components.split.recipes import SPLITS

_AGE_BANDS = ((40, "<40"), (60, "40-59"), (80, "60-79"), (np.inf, "80+"))
_TABLES = {"dx": "dx", "sex": "sex", "site": "localization", "source": "dataset"}

Codes = npt.NDArray[np.int8]


def audit(rows: pd.DataFrame, code: Codes, pairs: Pairs) -> dict[str, Any]:
    """Checks a division of `rows` and describes it.

    Args:
        rows: image_id, group_id, label, and where known dx, sex, localization, age, dataset.
        code: position in `SPLITS` of each row.
        pairs: near-duplicates, as row numbers.

    Returns:
        The `audit` part of `split.json`.

    Raises:
        DataError: a group is in two splits, or a class is absent from a split.
    """
    refuse_leak(rows["group_id"], code)
    refuse_absent_class(rows["label"].to_numpy(np.int64), code)
    crossing = np.flatnonzero(code[pairs.left] != code[pairs.right])
    return {
        "leaked_groups": 0,
        "class_shares": class_shares(rows["label"].to_numpy(np.int64), code),
        "near_duplicates": {
            "pairs": len(pairs),
            "between_lesions": int(
                (_take(rows, "lesion_id", pairs.left) != _take(rows, "lesion_id", pairs.right)).sum()
            ),
            "crossing": len(crossing),
            "crossing_pairs": [_pair(rows, code, pairs, i) for i in crossing[:1000]],
        },
        "tables": {
            **{name: table(rows[column], code) for name, column in _TABLES.items() if column in rows.columns},
            **({"age": table(age_band(rows["age"]), code)} if "age" in rows.columns else {}),
        },
    }


def refuse_leak(group: pd.Series, code: Codes) -> None:
    """Stops if a group is in two splits.

    Raises:
        DataError: names the group, its splits and how many such groups there are.
    """
    codes, names = pd.factorize(group)
    first = np.zeros(len(names), np.int8)
    first[codes] = code  # some row of the group; every other row must agree with it
    leaked = np.unique(codes[first[codes] != code])
    if len(leaked):
        where = ", ".join(SPLITS[i] for i in np.unique(code[codes == leaked[0]]))
        raise DataError(
            f"group {names[leaked[0]]} is in {where} at once ({len(leaked)} such groups): images of one lesion, or "
            "near-duplicates, would be trained on and tested on; bring a split that keeps groups whole"
        )


def refuse_absent_class(label: npt.NDArray[np.int64], code: Codes) -> None:
    """Stops if a split lacks benign or malignant images.

    Raises:
        DataError: names the class and the split, with all counts.
    """
    counts = np.bincount(code * 2 + label, minlength=2 * len(SPLITS)).reshape(len(SPLITS), 2)
    for i, split in enumerate(SPLITS):
        for y, name in enumerate(("benign", "malignant")):
            if counts[i, y] == 0:
                have = "; ".join(f"{s} {b} + {m}" for s, (b, m) in zip(SPLITS, counts, strict=True))
                raise DataError(
                    f"{split} holds no {name} image (benign + malignant: {have}); "
                    "give more data, larger shares or another recipe"
                )


def class_shares(label: npt.NDArray[np.int64], code: Codes) -> dict[str, Any]:
    """Malignant share of each split and its distance from the whole, in percentage points."""
    overall = float(label.mean())
    out: dict[str, Any] = {"all": {"malignant_share": overall}}
    for i, split in enumerate(SPLITS):
        share = float(label[code == i].mean())
        out[split] = {"malignant_share": share, "error_points": 100.0 * (share - overall)}
    return out


def table(value: pd.Series, code: Codes) -> dict[str, Any]:
    """Images of each split by `value`, their share of the split and its distance from the whole (points)."""
    codes, names = pd.factorize(value.astype("str").replace("", "unknown").fillna("unknown"), sort=True)
    counts = np.bincount(codes.astype(np.int64) * len(SPLITS) + code, minlength=len(names) * len(SPLITS))
    counts = counts.reshape(len(names), len(SPLITS))
    share = counts / np.maximum(counts.sum(axis=0), 1)
    overall = counts.sum(axis=1) / max(counts.sum(), 1)
    return {
        str(name): {
            split: {
                "images": int(counts[j, i]),
                "share": float(share[j, i]),
                "error_points": float(100.0 * (share[j, i] - overall[j])),
            }
            for i, split in enumerate(SPLITS)
        }
        for j, name in enumerate(names)
    }


def age_band(age: pd.Series) -> pd.Series:
    """`<40`, `40-59`, `60-79`, `80+` or `unknown` for each age in years."""
    years = age.to_numpy(np.float64)
    place = np.digitize(years, [limit for limit, _ in _AGE_BANDS])
    names = np.array([name for _, name in _AGE_BANDS] + ["unknown"])
    return pd.Series(names[np.where(np.isnan(years), len(_AGE_BANDS), place)])


def _take(rows: pd.DataFrame, column: str, at: npt.NDArray[np.int64]) -> npt.NDArray[np.object_]:
    return rows[column].iloc[at].to_numpy(object)


def _pair(rows: pd.DataFrame, code: Codes, pairs: Pairs, i: int) -> dict[str, Any]:
    left, right = int(pairs.left[i]), int(pairs.right[i])
    return {
        "images": [str(rows["image_id"].iloc[k]) for k in (left, right)],
        "groups": [str(rows["group_id"].iloc[k]) for k in (left, right)],
        "splits": [SPLITS[code[k]] for k in (left, right)],
        "distance": float(pairs.distance[i]),
    }
