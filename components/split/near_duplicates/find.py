"""Near-duplicate images: which pairs of rows show the same picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from components.common.arrow import from_numpy, to_numpy
from components.split.near_duplicates.thumbnails import Pictures
from components.split.texts import Ints, encode, repeated, scalar, take


@dataclass(frozen=True)
class Pairs:
    """Pairs of near-duplicate rows.

    Attributes:
        left: (n,) row numbers.
        right: (n,) row numbers, each greater than its `left`.
        distance: (n,) 0 for identical bytes or hash; greater is less alike.
    """

    left: Ints
    right: Ints
    distance: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.left)


def find_pairs(rows: pa.Table) -> Pairs:
    """Near-duplicates among readable images: equal bytes, or pictures that lie on each other.

    A set of n images with equal bytes gives the n - 1 pairs that join it, not all n(n - 1) / 2, and is
    looked at once. An index without thumbnails falls back to equal perceptual hashes.
    """
    equal = _equal(rows["sha256"])
    if "thumbnail" not in rows.column_names:
        both = np.unique(np.concatenate([equal, _equal(rows["phash"])]), axis=0)
        return Pairs(both[:, 0], both[:, 1], np.zeros(len(both), np.float32))
    import pyarrow.compute as pc

    from components.split.near_duplicates.match import match

    seen = to_numpy(pc.binary_length(rows["thumbnail"])) > 0  # a gap is NaN
    seen[equal[:, 1]] = False
    chosen = np.flatnonzero(seen)
    pictures = rows["thumbnail"] if seen.all() else rows["thumbnail"].filter(from_numpy(seen))
    left, right, distance = match(Pictures(pictures))
    return Pairs(
        np.concatenate([equal[:, 0], chosen[left]]),
        np.concatenate([equal[:, 1], chosen[right]]),
        np.concatenate([np.zeros(len(equal), np.float32), distance]),
    )


def _equal(texts: pa.ChunkedArray) -> Ints:
    """(m, 2) pairs of each row with the first row of the same non-empty text."""
    import pyarrow.compute as pc

    known = np.flatnonzero(to_numpy(pc.not_equal(texts, scalar(""))))
    if len(known) < len(texts):
        texts = take(texts, known)
    rows = repeated(texts)
    value = encode(take(texts, rows))
    owner = rows[value.first()][value.codes]
    later = owner != rows
    return np.stack([known[owner[later]], known[rows[later]]], axis=1)
