"""Resampling whole groups: all images of a lesion travel together, or intervals come out too narrow.

The cluster bootstrap (Field and Welsh 2007, doi:10.1111/j.1467-9868.2007.00593.x). A resample is a count per group,
not a list of rows: every statistic of a resample is then a weighted statistic of the original rows, and thousands of
resamples are a handful of array operations.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from components.common.statistics.numeric import Floats

Codes = npt.NDArray[np.intp]
Counts = npt.NDArray[np.int32]

_CELLS = 4_000_000  # counts held at once: 16 MB
_ROW_CELLS = 2_000_000  # rows times resamples held at once: 16 MB
_ONE_AT_A_TIME = 8192


def group_codes(ids: npt.NDArray[np.str_]) -> tuple[Codes, int]:
    """(n,) integers 0..G-1, equal where ids are equal, and G; numbered by sorted id.

    >>> codes, groups = group_codes(np.array(["b", "a", "b"]))
    >>> codes.tolist(), groups
    ([1, 0, 1], 2)
    """
    names, codes = np.unique(ids, return_inverse=True)
    return codes.astype(np.intp), len(names)


def group_counts(groups: int, resamples: int, seed: int, cells: int = _CELLS) -> Iterator[Counts]:
    """Yields blocks (G, b) of how often each of G groups is drawn in each of b resamples.

    The draws depend on `seed` alone, not on how they are cut into blocks.

    Args:
        groups: G, the number of groups; each resample draws G of them with replacement.
        resamples: how many resamples in all.
        seed: of `numpy.random.default_rng`.
        cells: the most counts to hold at once.
    """
    rng = np.random.default_rng(seed)
    block = max(1, min(resamples, cells // max(groups, 1)))
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        yield np.ascontiguousarray(_counted(rng, groups, size).T)


def row_weights(codes: Codes, groups: int, resamples: int, seed: int) -> Iterator[Floats]:
    """Yields blocks (n, b) of how often each row is drawn: `group_counts` of its group.

    Args:
        codes: (n,) group of each row, 0..G-1.
        groups: G.
        resamples: how many resamples in all.
        seed: as for `group_counts`.
    """
    for counts in group_counts(groups, resamples, seed, max(groups, _ROW_CELLS * groups // len(codes))):
        yield counts[codes].astype(np.float64)


def _counted(rng: np.random.Generator, groups: int, size: int) -> Counts:
    """(size, groups) counts; the same draws either way; which is faster depends on the processor's cache."""
    if groups > _ONE_AT_A_TIME:
        out = np.empty((size, groups), np.int32)
        for row in out:
            row[:] = np.bincount(rng.integers(0, groups, groups), minlength=groups)
        return out
    drawn = rng.integers(0, groups, (size, groups))
    drawn += np.arange(size)[:, None] * groups
    return np.bincount(drawn.ravel(), minlength=size * groups).reshape(size, groups).astype(np.int32)
