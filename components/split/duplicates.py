"""Near-duplicate images: which pairs of rows show the same picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from components.split.matching import match

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
    """Near-duplicates among readable images: equal bytes, or pictures that lie on each other.

    A set of n images with equal bytes gives the n - 1 pairs that join it, not all n(n - 1) / 2, and is
    looked at once. An index without thumbnails falls back to equal perceptual hashes.
    """
    equal = _equal(rows, "sha256")
    if "thumbnail" not in rows.columns:
        both = np.unique(np.concatenate([equal, _equal(rows, "phash")]), axis=0)
        return Pairs(both[:, 0], both[:, 1], np.zeros(len(both), np.float32))
    seen = np.ones(len(rows), bool)
    seen[equal[:, 1]] = False
    seen &= (rows["thumbnail"].map(len) > 0).to_numpy()
    chosen = np.flatnonzero(seen)
    left, right, distance = match(rows["thumbnail"].iloc[chosen].tolist())
    return Pairs(
        np.concatenate([equal[:, 0], chosen[left]]),
        np.concatenate([equal[:, 1], chosen[right]]),
        np.concatenate([np.zeros(len(equal), np.float32), distance]),
    )


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
