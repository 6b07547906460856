"""The audit every recipe passes: leaks, absent classes, class shares, and who is in which split.

It numbers the groups itself, by their ids and exactly, and shares no hash with the recipe it checks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from components.common.arrow import column, to_numpy
from components.common.artifacts.split import SPLITS
from components.common.runtime.errors import DataError
from components.split.division import Codes, Division
from components.split.near_duplicates.find import Pairs
from components.split.texts import Encoded, encode, take

_AGE_LIMITS = (40, 60, 80)
_AGE_BANDS = ("<40", "40-59", "60-79", "80+", "unknown")
_TABLES = {"dx": "dx", "sex": "sex", "site": "localization", "source": "dataset"}


def audit(division: Division, pairs: Pairs) -> dict[str, Any]:
    """Checks a division and describes it.

    Args:
        division: the rows, and the split of each.
        pairs: near-duplicates, as row numbers.

    Returns:
        The `audit` part of `split.json`.

    Raises:
        DataError: a group is in two splits, or a class is absent from a split.
    """
    rows, code = division.rows, division.code
    refuse_leak(division.group, code)
    refuse_absent_class(division.label, code)
    crossing = np.flatnonzero(code[pairs.left] != code[pairs.right])
    return {
        "leaked_groups": 0,
        "class_shares": class_shares(division.label, code),
        "near_duplicates": {
            "pairs": len(pairs),
            "between_lesions": int(between_lesions(rows, pairs).sum()),
            "crossing": len(crossing),
            "crossing_pairs": _listed(division, pairs, crossing[:1000]),
        },
        "tables": {
            **{
                name: table(encode(rows[column]), code)
                for name, column in _TABLES.items()
                if column in rows.column_names
            },
            **({"age": table(age_band(rows["age"]), code)} if "age" in rows.column_names else {}),
        },
    }


def refuse_leak(group: Encoded, code: Codes) -> None:
    """Stops if a group is in two splits.

    Raises:
        DataError: names the group, its splits and how many such groups there are.
    """
    first = np.zeros(len(group.names), np.int8)
    first[group.codes] = code  # some row of the group; every other row must agree with it
    leaked = np.unique(group.codes[first[group.codes] != code])
    if len(leaked):
        where = ", ".join(SPLITS[i] for i in np.unique(code[group.codes == leaked[0]]))
        raise DataError(
            f"group {group.names[int(leaked[0])]} is in {where} at once ({len(leaked)} such groups): images of one "
            "lesion, or near-duplicates, would be trained on and tested on; bring a split that keeps groups whole"
        )


def refuse_absent_class(label: npt.NDArray[np.int8], code: Codes) -> None:
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


def class_shares(label: npt.NDArray[np.int8], code: Codes) -> dict[str, Any]:
    """Malignant share of each split and its distance from the whole, in percentage points."""
    overall = float(label.mean())
    out: dict[str, Any] = {"all": {"malignant_share": overall}}
    for i, split in enumerate(SPLITS):
        share = float(label[code == i].mean())
        out[split] = {"malignant_share": share, "error_points": 100.0 * (share - overall)}
    return out


def between_lesions(rows: pa.Table, pairs: Pairs) -> npt.NDArray[np.bool_]:
    """Whether each pair is of two lesions."""
    import pyarrow.compute as pc

    left, right = (take(rows["lesion_id"], at) for at in (pairs.left, pairs.right))
    return to_numpy(pc.not_equal(left, right))


def table(value: Encoded, code: Codes) -> dict[str, Any]:
    """Images of each split by `value`, their share of the split and its distance from the whole (points)."""
    found = np.bincount(value.codes.astype(np.int64) * len(SPLITS) + code, minlength=len(value.names) * len(SPLITS))
    by_name: dict[str, npt.NDArray[np.int64]] = {}
    for name, row in zip(value.names.to_pylist(), found.reshape(-1, len(SPLITS)), strict=True):
        text = "unknown" if name is None else str(name) or "unknown"
        by_name[text] = by_name.get(text, 0) + row
    names = sorted(name for name, row in by_name.items() if row.any())
    counts = np.array([by_name[name] for name in names]).reshape(-1, len(SPLITS))
    share = counts / np.maximum(counts.sum(axis=0), 1)
    overall = counts.sum(axis=1) / max(counts.sum(), 1)
    return {
        name: {
            split: {
                "images": int(counts[j, i]),
                "share": float(share[j, i]),
                "error_points": float(100.0 * (share[j, i] - overall[j])),
            }
            for i, split in enumerate(SPLITS)
        }
        for j, name in enumerate(names)
    }


def age_band(age: pa.ChunkedArray) -> Encoded:
    """`<40`, `40-59`, `60-79`, `80+` or `unknown` for each age in years."""
    years = to_numpy(age).astype(np.float64)
    band = np.zeros(len(years), np.int32)
    for limit in _AGE_LIMITS:
        band += years >= limit
    band[np.isnan(years)] = len(_AGE_LIMITS) + 1
    return Encoded(band, column(_AGE_BANDS, pa.string()).chunk(0))


def _listed(division: Division, pairs: Pairs, which: npt.NDArray[np.int64]) -> list[dict[str, Any]]:
    sides = [pairs.left[which], pairs.right[which]]
    image, group = ([take(division.rows[name], at).to_pylist() for at in sides] for name in ("image_id", "group_id"))
    split = [division.split_names(at).to_pylist() for at in sides]
    return [
        {
            "images": [side[k] for side in image],
            "groups": [side[k] for side in group],
            "splits": [side[k] for side in split],
            "distance": float(pairs.distance[i]),
        }
        for k, i in enumerate(which)
    ]
