"""Coarse alignment of two pictures by one anchor of each: which quarter turn or mirroring fits, and how well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from components.split.near_duplicates.anchors import SIDE

TURNS = np.array([[[1, 0], [0, 1]], [[0, -1], [1, 0]], [[-1, 0], [0, -1]], [[0, 1], [-1, 0]],
                  [[1, 0], [0, -1]], [[0, 1], [1, 0]], [[-1, 0], [0, 1]], [[0, -1], [-1, 0]]], np.float32)  # fmt: skip
_ROUGH, _CLOSE = 0.90, 0.965  # correlations required on a coarse and on a fine grid
_BLOCK = 4000  # candidates at a time

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]


@dataclass
class Candidates:
    """Pairs of images `a` and `b`, each with the anchors and the scale that would align them.

    Attributes:
        a, b: (n,) images.
        at_a, at_b: (n, 2) y and x of the anchors, in short sides.
        ratio: (n,) factor from lengths in b to lengths in a.
        turn: (n,) which of `TURNS`.
        score: (n,) correlation of the two pictures once aligned.
        very_similar: (n,) whether an anchor of a is very similar to one of b.
    """

    a: Ints
    b: Ints
    at_a: Floats
    at_b: Floats
    ratio: Floats
    turn: Ints
    score: Floats
    very_similar: npt.NDArray[np.bool_]

    def take(self, keep: npt.NDArray[Any]) -> Candidates:
        """Those at `keep`: a mask or positions."""
        return Candidates(*(getattr(self, name)[keep] for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class Canvas:
    """Blurred grey working images in one flat array: memory stays flat whatever their shapes."""

    flat: Floats
    offset: Ints
    height: Ints
    width: Ints

    @classmethod
    def of(cls, pictures: Sequence[Floats]) -> Canvas:
        """The canvas of grey pictures `[h, w]`."""
        height, width = np.array([one.shape for one in pictures], np.int64).reshape(-1, 2).T
        offset = np.cumsum(height * width) - height * width
        return cls(np.concatenate([one.ravel() for one in pictures]), offset, height, width)


def blurred_grey(image: npt.NDArray[np.uint8]) -> Floats:
    """What a canvas holds of a working image."""
    return np.asarray(cv2.GaussianBlur(image.mean(axis=2).astype(np.float32), (0, 0), 1.0), np.float16)


def fitting(canvas: Canvas, one: Candidates) -> Candidates:
    """The candidates that fit in one of the turns, with that turn and their correlation."""
    near = _best_turn(canvas, one, 8, range(len(TURNS)))
    near = near.take(near.score > _ROUGH)
    near = _best_turn(canvas, near, 24, None)
    return near.take(near.score > _CLOSE)


def _best_turn(canvas: Canvas, one: Candidates, grid: int, turns: Sequence[int] | None) -> Candidates:
    """The candidates with the turn (of `turns`, or the one they have) that correlates best, and that correlation."""
    score = np.full(len(one.a), -1.0, np.float32)
    turn = one.turn.copy()
    for start in range(0, len(one.a), _BLOCK):
        part = one.take(np.arange(start, min(start + _BLOCK, len(one.a))))
        y, x = _grid(canvas, part.b, grid)
        there, _ = _sample(canvas, part.b, y, x)
        for k in turns if turns is not None else (None,):
            chosen = part.turn if k is None else np.full(len(part.a), k, np.int64)
            received = _correlation(canvas, part, chosen, y, x, there)
            better = received > score[start : start + _BLOCK]
            score[start : start + _BLOCK][better] = received[better]
            turn[start : start + _BLOCK][better] = chosen[better]
    return replace(one, turn=turn, score=score)


def _grid(canvas: Canvas, image: Ints, grid: int) -> tuple[Floats, Floats]:
    """The points (y, x) of a square grid over each image."""
    cell = (np.arange(grid, dtype=np.float32) + 0.5) / grid
    height, width = (size[image].astype(np.float32)[:, None] for size in (canvas.height, canvas.width))
    return np.repeat(cell, grid) * height - 0.5, np.tile(cell, grid) * width - 0.5


def _correlation(canvas: Canvas, one: Candidates, turn: Ints, yb: Floats, xb: Floats, there: Floats) -> Floats:
    """Correlation of picture a with b's values `there` at (yb, xb), a laid on b; -1 where less than half overlaps."""
    dy, dx = yb - one.at_b[:, :1] * SIDE, xb - one.at_b[:, 1:] * SIDE
    m = TURNS[turn] * one.ratio[:, None, None]
    ya = one.at_a[:, :1] * SIDE + m[:, 0, :1] * dy + m[:, 0, 1:] * dx
    xa = one.at_a[:, 1:] * SIDE + m[:, 1, :1] * dy + m[:, 1, 1:] * dx
    va, inside = _sample(canvas, one.a, ya, xa)
    count = inside.sum(axis=1)
    total = np.maximum(count, 1)
    va = (va - ((va * inside).sum(axis=1) / total)[:, None]) * inside
    vb = (there - ((there * inside).sum(axis=1) / total)[:, None]) * inside
    norm = np.sqrt((va * va).sum(axis=1) * (vb * vb).sum(axis=1)) + 1e-6
    return np.where(count > 0.5 * yb.shape[1], (va * vb).sum(axis=1) / norm, -1.0).astype(np.float32)


def _sample(canvas: Canvas, image: Ints, y: Floats, x: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Bilinear values of the images at (y, x), and whether the points lie inside."""
    height, width = canvas.height[image][:, None], canvas.width[image][:, None]
    inside = (y >= 0) & (y <= height - 1) & (x >= 0) & (x <= width - 1)
    y, x = np.clip(y, 0, height - 1.001), np.clip(x, 0, width - 1.001)
    y0, x0 = y.astype(np.int64), x.astype(np.int64)
    fy, fx = (y - y0).astype(np.float32), (x - x0).astype(np.float32)
    corner = canvas.offset[image][:, None] + y0 * width + x0
    below = corner + width
    upper = canvas.flat[corner] * (1 - fx) + canvas.flat[corner + 1] * fx
    lower = canvas.flat[below] * (1 - fx) + canvas.flat[below + 1] * fx
    return (upper * (1 - fy) + lower * fy).astype(np.float32), inside
