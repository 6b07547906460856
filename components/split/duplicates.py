"""Near-duplicate images: which pairs of rows show the same picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

Ints = npt.NDArray[np.int64]


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


def find_pairs(rows: pd.DataFrame) -> Pairs:
    """Near-duplicates among readable images: equal bytes or equal perceptual hash.

    A set of n equal images gives the n - 1 pairs that join it, not all n(n - 1) / 2.
    """
    edges = [_equal(rows, name) for name in ("sha256", "phash")]
    both = np.unique(np.concatenate(edges), axis=0)
    return Pairs(both[:, 0], both[:, 1], np.zeros(len(both), np.float32))


def _equal(rows: pd.DataFrame, name: str) -> Ints:
    """(m, 2) pairs of each row with the first row of the same non-empty value in column `name`."""
    value = rows[name].fillna("")
    known = np.flatnonzero((value != "").to_numpy())
    codes, names = pd.factorize(value.iloc[known])
    first = np.full(len(names), len(rows), dtype=np.int64)
    np.minimum.at(first, codes, known)
    owner = first[codes]
    later = owner != known
    return np.stack([owner[later], known[later]], axis=1)
