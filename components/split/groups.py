"""Groups: connected components of (same lesion OR near-duplicate), without a loop over rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from components.common.arrow import to_numpy
from components.split.texts import Ints, take


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


def group_ids(lesion: pa.ChunkedArray, left: Ints, right: Ints) -> pa.ChunkedArray:
    """The final group of every row: the alphabetically first lesion of its component.

    Args:
        lesion: lesion (or image, where the table has none) of each row.
        left: row numbers of one side of each near-duplicate pair.
        right: row numbers of the other side.

    Returns:
        Group ids, aligned with `lesion`; equal to it where no pair joins two lesions.
    """
    import pyarrow.compute as pc

    a, b = (take(lesion, side) for side in (left, right))
    joined = pc.not_equal(a, b)
    if not pc.any(joined).as_py():
        return lesion
    a, b = a.filter(joined), b.filter(joined)
    names = pa.chunked_array([*a.chunks, *b.chunks]).unique().sort()  # the smallest number is the first name
    root = connected_components(len(names), _numbers(a, names), _numbers(b, names))
    concerned = take(names, root).take(pc.index_in(lesion, names))
    return pc.coalesce(concerned, lesion)


def _numbers(texts: pa.ChunkedArray, names: pa.Array) -> Ints:
    import pyarrow.compute as pc

    return to_numpy(pc.index_in(texts, names)).astype(np.int64)
