"""All points within a radius, exactly: cells over the widest coordinates, then matrix products of neighbouring cells.

In sixteen dimensions a tree looks at nearly every leaf, so that ten times the points cost a hundred times
the time. Cells leave about one pair in a hundred to look at, and a matrix product looks at it in a nanosecond.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

_CHUNK = 256  # queries of one matrix product
_MANY = 400_000  # points from which on a further coordinate is divided into cells

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]


class Neighbours:
    """An index over points, to be asked for those within `radius` of others.

    Args:
        points: (n, d) float32 with d > 3, the coordinates of the widest spread first.
        radius: Euclidean.
        depth: how many coordinates are divided into cells; by default as the number of points asks for.
    """

    def __init__(self, points: Floats, radius: float, depth: int = 0) -> None:
        self._radius = radius
        self._depth = depth or (3 if len(points) >= _MANY else 2)
        cell = np.floor(points[:, : self._depth] / radius).astype(np.int64)
        self._order = np.lexsort((points[:, self._depth], *cell.T[::-1]))
        self._points = np.ascontiguousarray(points[self._order])
        self._square = (self._points * self._points).sum(axis=1)
        cell = cell[self._order]
        new = np.ones(len(cell), bool)
        new[1:] = (cell[1:] != cell[:-1]).any(axis=1)
        starts = np.flatnonzero(new)
        ends = np.append(starts[1:], len(cell))
        self._slices = {tuple(cell[a].tolist()): (int(a), int(b)) for a, b in zip(starts, ends, strict=True)}

    def within(self, queries: Floats) -> Iterator[tuple[Ints, Ints]]:
        """Yields arrays of (query, point) numbers: every pair within the radius, once."""
        asked = Neighbours(queries, self._radius, self._depth)
        for cell, (start, end) in asked._slices.items():
            around = (tuple(c + s for c, s in zip(cell, step, strict=True)) for step in _STEPS[self._depth])
            near = [self._slices[one] for one in around if one in self._slices]
            for at in range(start, end, _CHUNK):
                yield from self._look(asked, at, min(at + _CHUNK, end), near)

    def _look(
        self, asked: Neighbours, start: int, end: int, near: list[tuple[int, int]]
    ) -> Iterator[tuple[Ints, Ints]]:
        query = asked._points[start:end]
        least = (asked._square[start:end] - self._radius**2)[:, None]
        low, high = query[0, self._depth] - self._radius, query[-1, self._depth] + self._radius
        for first, last in near:
            along = self._points[first:last, self._depth]  # sorted: what lies too far along it is not looked at
            a, b = first + int(np.searchsorted(along, low)), first + int(np.searchsorted(along, high, "right"))
            if a < b:
                score = query @ self._points[a:b].T
                score *= 2.0
                score -= self._square[a:b]
                q, p = np.divmod(np.flatnonzero(score >= least), b - a)
                if len(q):
                    yield asked._order[start + q], self._order[a + p]


_STEPS = {depth: tuple(product((-1, 0, 1), repeat=depth)) for depth in (1, 2, 3)}
