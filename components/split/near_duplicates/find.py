"""Near-duplicate images: which pairs of rows show the same picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from components.common.artifacts.index import THUMBNAIL

Ints = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Pairs:
    """Pairs of near-duplicate rows.

    Attributes:
        left: (n,) row numbers.
        right: (n,) row numbers, each greater than its `left`.
        distance: (n,) 0 for identical bytes or hash; the greater, the less similar.
    """

    left: Ints
    right: Ints
    distance: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.left)

    def take(self, which: Ints) -> Pairs:
        """Some of the pairs, by their positions."""
        return Pairs(self.left[which], self.right[which], self.distance[which])

    def among(self, kept: npt.NDArray[np.bool_]) -> Pairs:
        """The pairs both of whose rows are kept, as numbers of the kept rows.

        Args:
            kept: (rows,) which rows are kept.
        """
        number = np.cumsum(kept) - 1
        both = self.take(np.flatnonzero(kept[self.left] & kept[self.right]))
        return Pairs(number[both.left], number[both.right], both.distance)


def equal_rows(values: pd.Series) -> tuple[Ints, Ints]:
    """Pairs of row numbers that join all rows of the same value: the first row with it, and each later one.

    A null or an empty text is not a value.
    """
    number = pd.Series(np.arange(len(values)))
    first = number.groupby(pd.factorize(values)[0]).transform("first")
    known = ((values != "") & values.notna()).to_numpy()
    later = np.flatnonzero((first != number) & known)
    return first.to_numpy()[later], later


def find_pairs(rows: pd.DataFrame) -> Pairs:
    """Near-duplicates among readable images: equal bytes, or pictures that match after alignment.

    A set of n images with equal bytes gives the n - 1 pairs that join it, not all n(n - 1) / 2, and only one of them
    is compared with other pictures. An index without thumbnails falls back to equal perceptual hashes.
    """
    left, right = equal_rows(rows["sha256"])
    if THUMBNAIL not in rows:
        more = equal_rows(rows["phash"])
        both = np.unique(np.concatenate([np.stack([left, right], 1), np.stack(more, 1)]), axis=0)
        return Pairs(both[:, 0], both[:, 1], np.zeros(len(both), np.float32))
    from components.split.near_duplicates.match import match

    seen = np.array([bool(one) for one in rows[THUMBNAIL]])
    seen[right] = False
    chosen = np.flatnonzero(seen)
    first, second, distance = match(rows[THUMBNAIL][seen].tolist())
    return Pairs(
        np.concatenate([left, chosen[first]]),
        np.concatenate([right, chosen[second]]),
        np.concatenate([np.zeros(len(left), np.float32), distance]),
    )
