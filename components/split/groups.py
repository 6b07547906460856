"""Groups: images that must share a split, as connected components of (same lesion OR near-duplicate)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Ints = npt.NDArray[np.integer[Any]]


def equal_rows(values: pd.Series) -> tuple[Ints, Ints]:
    """Pairs of row numbers that join all rows of the same value: the first row with it, and each later one.

    A null or an empty text is not a value.
    """
    number = pd.Series(np.arange(len(values)))
    first = number.groupby(pd.factorize(values)[0]).transform("first")
    known = ((values != "") & values.notna()).to_numpy()
    later = np.flatnonzero((first != number) & known)
    return first.to_numpy()[later], later


def group_ids(lesion: pd.Series, left: Ints, right: Ints) -> pd.Series:
    """The group of every row: the alphabetically first lesion of its component.

    Args:
        lesion: lesion of each row (the image's own id, where the table names none).
        left: row numbers of one side of each near-duplicate pair.
        right: row numbers of the other side.

    Returns:
        Group ids, labelled as `lesion`; equal to it where no pair joins two lesions.
    """
    same = equal_rows(lesion)
    edges = np.concatenate([same[0], left]), np.concatenate([same[1], right])
    graph = coo_array((np.ones(len(edges[0]), bool), edges), shape=(len(lesion), len(lesion)))
    _, component = connected_components(graph, directed=False)
    return lesion.groupby(component).transform("min")
