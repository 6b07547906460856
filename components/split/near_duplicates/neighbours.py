"""Exact nearest neighbours within a radius: cells over the widest coordinates, then matrix products of cells.

In sixteen dimensions a tree visits nearly every leaf, so that ten times the points cost a hundred times the time.
Cells leave one pair in a hundred to compare, and a matrix product compares it in a nanosecond.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise, product
from typing import Any

import numpy as np
import numpy.typing as npt

_CHUNK = 256  # queries of one matrix product
_PIECE = 4096  # and points: their scores stay in the processor's cache
_MANY = 400_000  # number of points above which a third coordinate is divided into cells

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]


class Neighbours:
    """An index over points, searched for those within `radius` of others.

    Args:
        points: (n, d) float32 with n > 0 and d > 3, the coordinates of the widest spread first.
        radius: Euclidean.
        most: points returned for one query, the nearest; of equally near ones, any.
        depth: how many coordinates are divided into cells; by default it follows from the number of points.
    """

    def __init__(self, points: Floats, radius: float, most: int, depth: int = 0) -> None:
        self._radius = radius
        self._most = most
        self._depth = depth or (3 if len(points) >= _MANY else 2)
        cell = self._cell(points)
        self._first = cell.min(axis=0)
        self._shape = tuple((cell.max(axis=0) - self._first + 5).tolist())  # two empty cells on each side
        self._span = float(points[:, self._depth].min()), float(np.ptp(points[:, self._depth])) + radius
        code = self._code(cell)
        self._order = np.lexsort((points[:, self._depth], code))
        self._points = np.ascontiguousarray(points[self._order])
        self._square = (self._points * self._points).sum(axis=1)
        self._codes, number = np.unique(code[self._order], return_inverse=True)
        self._key = number + self._place(self._points[:, self._depth])  # ascending: by cell, then along the next axis
        # the own cell first: its points are the nearest, and with enough of them few others count
        steps = sorted(product((-1, 0, 1), repeat=self._depth), key=lambda step: sum(map(abs, step)))
        self._around = np.array(steps) @ np.append(np.cumprod(self._shape[:0:-1])[::-1], 1)

    def within(self, queries: Floats) -> Iterator[tuple[Ints, Ints]]:
        """Yields arrays of (query, point) numbers: of each query the nearest points within the radius, each once."""
        code = self._code(self._cell(queries))
        order = np.lexsort((queries[:, self._depth], code))
        queries, code = queries[order], code[order]
        borders = np.flatnonzero(np.diff(code, prepend=-1, append=-1)).tolist()
        for start, end in pairwise(borders):
            near = np.searchsorted(self._codes, code[start] + self._around)
            near = near[self._codes[np.minimum(near, len(self._codes) - 1)] == code[start] + self._around]
            for at in range(start, end, _CHUNK):
                q, p = self._look(queries[at : min(at + _CHUNK, end)], near)
                if len(q):
                    yield order[at + q], p

    def _look(self, query: Floats, near: Ints) -> tuple[Ints, Ints]:
        """Query and point numbers among the points of cells `near`; the queries ascend along the sorted axis."""
        along = self._place(query[[0, -1], self._depth] + np.array([-self._radius, self._radius], np.float32))
        a, b = np.searchsorted(self._key, near + along[0]), np.searchsorted(self._key, near + along[1], "right")
        points = np.repeat(a - np.cumsum(b - a) + (b - a), b - a) + np.arange((b - a).sum())
        least = (query * query).sum(axis=1) - self._radius**2
        found = [self._above(query, least, points[i : i + _PIECE]) for i in range(0, len(points), _PIECE)]
        if not found:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        q, p, score = (np.concatenate(column) for column in zip(*found, strict=True))
        keep = _best(q, score, self._most)
        return q[keep], self._order[p[keep]]

    def _above(self, query: Floats, least: Floats, points: Ints) -> tuple[Ints, Ints, Floats]:
        """Pairs that score at least `least`, which rises for queries that have more than enough points here."""
        score = query @ self._points[points].T
        score *= 2.0
        score -= self._square[points]
        hit = np.flatnonzero(score >= least[:, None])
        if len(hit) > self._most:
            many = np.flatnonzero(np.bincount(hit // len(points)) > self._most)
            if len(many):
                least[many] = np.partition(score[many], -self._most, axis=1)[:, -self._most]
                hit = np.flatnonzero(score >= least[:, None])
        q, p = np.divmod(hit, len(points))
        return q, points[p], score.ravel()[hit]

    def _cell(self, points: Floats) -> Ints:
        return np.asarray(np.floor(points[:, : self._depth] / self._radius), np.int64)

    def _code(self, cell: Ints) -> Ints:
        """One number for each cell; those beyond the empty ones on each side count as these."""
        cell = np.clip(cell - self._first + 2, 1, np.array(self._shape) - 2)
        return np.asarray(np.ravel_multi_index(tuple(cell.T), self._shape), np.int64)

    def _place(self, along: Floats) -> Floats:
        """Where on the sorted axis, from 0 to less than 1."""
        return np.asarray(np.clip((along.astype(np.float64) - self._span[0]) / self._span[1], 0.0, 0.999))


def _best(query: Ints, score: Floats, most: int) -> Ints:
    """The places of each query's `most` highest scores."""
    if len(query) <= most or np.bincount(query).max() <= most:
        return np.arange(len(query))
    order = np.lexsort((-score, query))
    return np.asarray(order[place_in_run(query[order]) < most])


def place_in_run(value: npt.NDArray[Any]) -> Ints:
    """How many equal values directly precede each one."""
    new = np.ones(len(value), bool)
    new[1:] = value[1:] != value[:-1]
    starts = np.flatnonzero(new)
    return np.asarray(np.arange(len(value)) - np.repeat(starts, np.diff(np.append(starts, len(value)))))
