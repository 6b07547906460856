"""Candidates: pairs of pictures that share one very similar anchor, or two similar ones equally far apart.

However many pictures there are, an anchor asks for a bounded number of neighbours within a radius that
shrinks with their density, and each picture keeps its most promising partners: the work that follows grows in
proportion to the number of pictures.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from components.split.near_duplicates.align import Candidates
from components.split.near_duplicates.anchors import SCALES, Anchors, find_anchors
from components.split.near_duplicates.neighbours import Neighbours, place_in_run

_VERY_SIMILAR = 0.15  # distance of signatures: one anchor nearer than this makes a candidate
_SIMILAR = 0.22  # two anchors nearer than this, equally far apart in both pictures, make one too
_TOLERANCE = 0.08  # short sides by which those distances may differ
_CROWD = 800_000  # number of anchors above which both radii shrink, so that balls hold equally many
_SPREAD = 8.0  # dimensions of the anchors' distribution: 1.09 times a radius holds twice as many
_NEIGHBOURS = 48  # of one anchor
_PARTNERS = 16  # of one picture at one scale
_TRIES = 5  # pairs of anchors by which two pictures are aligned, the most similar ones
_DIMENSIONS = 16  # of the index; a projection never lengthens a distance, so it loses no neighbour
_ROWS = 100_000  # pairs of signatures compared at a time
_SAMPLE = 200_000  # anchors from which the axes of the index are computed

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]


class Index:
    """The anchors of all pictures at the first scale, searched for the partners of some of them.

    Args:
        anchors: their signatures may be float16.
    """

    def __init__(self, anchors: Anchors) -> None:
        self._anchors = anchors
        sample = anchors.signature[:: max(1, len(anchors.image) // _SAMPLE)].astype(np.float32)
        self._mean = sample.mean(axis=0)
        _, axes = np.linalg.eigh(np.cov((sample - self._mean).T))
        self._axes = np.ascontiguousarray(axes[:, ::-1][:, :_DIMENSIONS], np.float32)  # the widest first
        crowd = min(1.0, (_CROWD / len(anchors.image)) ** (1 / _SPREAD))
        self._very_similar, self._similar = _VERY_SIMILAR * crowd, _SIMILAR * crowd
        self._known = Neighbours(self._project(anchors.signature), self._similar, _NEIGHBOURS)

    def candidates(self, images: Sequence[npt.NDArray[np.uint8]], start: int) -> Iterator[Candidates]:
        """Candidates b among `images` (working images, numbered from `start`), one batch per scale."""
        for scale in SCALES:
            asked = find_anchors(images, scale)
            found = [np.stack(pair) for pair in self._known.within(self._project(asked.signature))]
            query, hit = np.concatenate(found, axis=1) if found else np.zeros((2, 0), np.int64)
            yield self._join(asked, query, hit, start, scale)

    def _project(self, signature: Floats) -> Floats:
        parts = [(signature[i : i + _ROWS] - self._mean) @ self._axes for i in range(0, len(signature), _ROWS)]
        return np.concatenate(parts) if parts else np.zeros((0, _DIMENSIONS), np.float32)

    def _join(self, asked: Anchors, query: Ints, hit: Ints, start: int, scale: float) -> Candidates:
        index = self._anchors
        a, b = index.image[hit], asked.image[query] + start
        keep = a < b if scale == SCALES[0] else a != b  # at the first scale each pair is found from both sides
        query, hit = query[keep], hit[keep]
        apart = _distance(asked.signature, query, index.signature, hit)
        near = apart < self._similar
        query, hit, apart = query[near], hit[near], apart[near]
        order = np.lexsort((query, index.image[hit], asked.image[query]))  # the anchors of a pair stand together
        query, hit, apart = query[order], hit[order], apart[order]
        n = len(hit)
        every = Candidates(
            a=index.image[hit],
            b=asked.image[query] + start,
            at_a=index.at[hit],
            at_b=asked.at[query],
            ratio=np.full(n, 1.0 / scale, np.float32),
            turn=np.zeros(n, np.int64),
            score=np.zeros(n, np.float32),
            very_similar=apart < self._very_similar,
        )
        fit = every.very_similar | _agreeing(every)
        return _promising(every.take(fit), apart[fit] / self._similar)


def _distance(x: Floats, at_x: Ints, y: Floats, at_y: Ints) -> Floats:
    parts = [
        np.linalg.norm(x[at_x[i : i + _ROWS]] - y[at_y[i : i + _ROWS]], axis=1)
        for i in range(0, max(len(at_x), 1), _ROWS)
    ]
    return np.concatenate(parts)


def _agreeing(one: Candidates) -> npt.NDArray[np.bool_]:
    """Which candidates stand beside one of the same pair whose anchors are as far away in a as in b."""
    apart_a = np.linalg.norm(np.diff(one.at_a, axis=0), axis=1)
    apart_b = np.linalg.norm(np.diff(one.at_b, axis=0), axis=1) * one.ratio[1:]
    agree = (np.diff(one.a) == 0) & (np.diff(one.b) == 0)
    agree &= (np.minimum(apart_a, apart_b) > _TOLERANCE) & (np.abs(apart_a - apart_b) < _TOLERANCE)
    found = np.zeros(len(one.a), bool)
    found[1:] |= agree
    found[:-1] |= agree
    return found


def _promising(one: Candidates, apart: Floats) -> Candidates:
    """For each picture b the partners a with the most and the most similar anchors, and the best anchors of each.

    Args:
        one: ordered by b and a.
        apart: (n,) distances of the signatures, 1 for the largest that counts.
    """
    if not len(one.a):
        return one
    pair = np.cumsum(place_in_run(one.b * (one.a.max() + 1) + one.a) == 0) - 1
    weight = np.bincount(pair, weights=1.0 - apart**2)
    b = one.b[np.flatnonzero(np.diff(pair, prepend=-1))]
    best = np.lexsort((-weight, b))
    chosen = np.zeros(len(b), bool)
    chosen[best[place_in_run(b[best]) < _PARTNERS]] = True
    order = np.lexsort((apart, pair))
    order = order[chosen[pair[order]] & (place_in_run(pair[order]) < _TRIES)]
    return one.take(np.sort(order))
