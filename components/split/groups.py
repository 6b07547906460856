"""Groups: connected components of (same lesion OR near-duplicate), without a loop over rows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

Ints = npt.NDArray[np.int64]


def connected_components(n: int, left: Ints, right: Ints) -> Ints:
    """The smallest node of the component of each of `n` nodes joined by edges `left[i]`-`right[i]`.

    Hooks each root below the smallest neighbouring root, then halves paths until they are flat: a few
    passes for any shape (Shiloach and Vishkin 1982).
    """
    parent = np.arange(n, dtype=np.int64)
    while len(left):
        a, b = parent[left], parent[right]
        open_edges = a != b
        if not open_edges.any():
            break
        left, right, a, b = left[open_edges], right[open_edges], a[open_edges], b[open_edges]
        np.minimum.at(parent, np.maximum(a, b), np.minimum(a, b))
        while True:
            up = parent[parent]
            if np.array_equal(up, parent):
                break
            parent = up
    return parent


def group_ids(lesion: pd.Series, left: Ints, right: Ints) -> pd.Series:
    """The final group of every row: the alphabetically first lesion of its component.

    Args:
        lesion: lesion (or image, where the table has none) of each row.
        left: row numbers of one side of each near-duplicate pair.
        right: row numbers of the other side.

    Returns:
        Group ids, aligned with `lesion`; equal to it where no pair joins two lesions.
    """
    codes, names = pd.factorize(lesion, sort=True)  # sorted: the smallest code is the first name
    a, b = codes[left].astype(np.int64), codes[right].astype(np.int64)
    joined = a != b
    if not joined.any():
        return lesion.copy()
    root = connected_components(len(names), a[joined], b[joined])
    return pd.Series(names.take(root[codes]), index=lesion.index, dtype=lesion.dtype)
