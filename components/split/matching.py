"""Near-duplicates by picture: candidates from anchors that are alike, then the two pictures laid on each other.

Survives re-encoding, shrinking, turning by quarters, mirroring, cropped borders and changed brightness. Two
pictures are laid on each other if one anchor of the first is much like one of the second, or two are alike.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from components.common.events import progress
from components.common.thumbnail import read_thumbnail
from components.split.anchors import SCALES, SIDE, Anchors, find_anchors, working_image
from components.split.neighbours import Neighbours

RADIUS = 0.15  # between signatures: one anchor nearer than this makes a candidate
_WIDE = 0.22  # two nearer than this, as far apart in one picture as in the other, do as well
_ASIDE = 0.08  # short sides by which those distances may differ
_DIMENSIONS = 16  # of the index; a projection never lengthens a distance, so it loses no neighbour
_ROUGH, _CLOSE, _SAME = 0.90, 0.965, 0.855  # correlations demanded at each stage
_SURE, _HUE = 0.93, 0.15  # below this correlation two pictures must have a much like anchor and like mean colour
_STRETCH, _SHEAR = 1.12, 1.08  # how far sliding into place may change scale, and one direction's against the other's
_NOISE = 2.0  # grey levels of a thumbnail that re-encoding changes
_BLOCK = 2000  # images asked about at a time: memory stays flat
_ROWS = 100_000  # pairs of signatures compared at a time
_SAMPLE = 200_000  # anchors that the axes of the index are taken from
_TURNS = np.array([[[1, 0], [0, 1]], [[0, -1], [1, 0]], [[-1, 0], [0, -1]], [[0, 1], [-1, 0]],
                   [[1, 0], [0, -1]], [[0, 1], [1, 0]], [[-1, 0], [0, 1]], [[0, -1], [-1, 0]]], np.float32)  # fmt: skip

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]

log = logging.getLogger(__name__)


@dataclass
class _Candidates:
    """Pairs of images `a` < or > `b` with the spots and scales that would lay one on the other."""

    a: Ints
    b: Ints
    at_a: Floats
    at_b: Floats
    ratio: Floats
    turn: Ints
    score: Floats
    alike: npt.NDArray[np.bool_]  # whether an anchor of a is much like one of b

    def take(self, keep: npt.NDArray[Any]) -> _Candidates:
        return _Candidates(*(getattr(self, name)[keep] for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class _Canvas:
    """Blurred grey working images one behind the other: memory stays flat whatever their shapes."""

    flat: Floats
    offset: Ints
    height: Ints
    width: Ints


def match(thumbnails: Sequence[bytes]) -> tuple[Ints, Ints, Floats]:
    """All near-duplicate pairs among `thumbnails`.

    Returns:
        Left and right image of each pair (left < right), and 1 - correlation of their fine structure.
    """
    nothing = np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32)
    if len(thumbnails) < 2:
        return nothing
    canvas, index = _read(thumbnails)
    if len(index.image) < 2:
        return nothing
    found: dict[tuple[int, int], _Candidates] = {}
    for rough in _candidates(thumbnails, index):
        near = _best_turn(canvas, rough, 8, range(len(_TURNS)))
        near = near.take(near.score > _ROUGH)
        near = _best_turn(canvas, near, 24, None)
        near = near.take(near.score > _CLOSE)
        for i in range(len(near.a)):
            key = (int(min(near.a[i], near.b[i])), int(max(near.a[i], near.b[i])))
            known = found.setdefault(key, near.take(np.array([i])))
            known.alike |= near.alike[i]
            if near.score[i] > known.score[0]:
                found[key] = replace(near.take(np.array([i])), alike=known.alike)
    same = []
    for key, one in sorted(found.items()):
        correlation = _fine_correlation(thumbnails, one)
        if _is_same(thumbnails, key, correlation, bool(one.alike[0])):
            same.append((key, max(0.0, 1.0 - correlation)))
    log.info("near-duplicates: %d pairs looked at closely, %d are the same picture", len(found), len(same))
    left, right = (np.array([key[i] for key, _ in same], np.int64) for i in (0, 1))
    return left, right, np.array([distance for _, distance in same], np.float32)


def _is_same(thumbnails: Sequence[bytes], pair: tuple[int, int], correlation: float, alike: bool) -> bool:
    if correlation >= _SURE or correlation < _SAME or not alike:
        return correlation >= _SURE
    a, b = (np.log(read_thumbnail(thumbnails[i]).mean(axis=(0, 1)) + 1.0) for i in pair)
    hue = (a - a[1]) - (b - b[1])  # against green: a brighter or darker copy keeps it
    return bool(np.abs(hue).max() <= _HUE)


def _read(thumbnails: Sequence[bytes]) -> tuple[_Canvas, Anchors]:
    """The canvas, and the anchors of every image at the first scale."""
    pixels, sizes, parts = [], [], []
    for start in range(0, len(thumbnails), _BLOCK):
        images = [working_image(one) for one in thumbnails[start : start + _BLOCK]]
        anchors = find_anchors(images, SCALES[0])
        parts.append(Anchors(anchors.image + start, anchors.at, anchors.signature.astype(np.float16)))
        for image in images:
            grey = cv2.GaussianBlur(image.mean(axis=2).astype(np.float32), (0, 0), 1.0)
            pixels.append(grey.astype(np.float16).ravel())
            sizes.append(grey.shape)
    height, width = np.array(sizes, np.int64).T
    offset = np.cumsum(height * width) - height * width
    index = Anchors(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("image", "at", "signature")))
    return _Canvas(np.concatenate(pixels), offset, height, width), index


def _candidates(thumbnails: Sequence[bytes], index: Anchors) -> Iterator[_Candidates]:
    sample = index.signature[:: max(1, len(index.image) // _SAMPLE)].astype(np.float32)
    mean = sample.mean(axis=0)
    _, axes = np.linalg.eigh(np.cov((sample - mean).T))
    axes = np.ascontiguousarray(axes[:, ::-1][:, :_DIMENSIONS], np.float32)  # the widest first
    known = Neighbours((index.signature - mean) @ axes, _WIDE)
    with progress("near-duplicates", len(thumbnails)) as bar:
        for start in range(0, len(thumbnails), _BLOCK):
            block = thumbnails[start : start + _BLOCK]
            images = [working_image(one) for one in block]
            for scale in SCALES:
                asked = find_anchors(images, scale)
                query, hit = _within(known, (asked.signature - mean) @ axes)
                yield _join(index, asked, query, hit, start, scale)
            bar.advance(len(block))


def _within(known: Neighbours, points: Floats) -> tuple[Ints, Ints]:
    found = [np.stack(pair) for pair in known.within(points)]
    query, hit = np.concatenate(found, axis=1) if found else np.zeros((2, 0), np.int64)
    return query, hit


def _join(index: Anchors, asked: Anchors, query: Ints, hit: Ints, start: int, scale: float) -> _Candidates:
    a, b = index.image[hit], asked.image[query] + start
    keep = a < b if scale == SCALES[0] else a != b  # at one scale the question is asked from both sides
    query, hit = query[keep], hit[keep]
    apart = np.concatenate(
        [
            np.linalg.norm(asked.signature[query[i : i + _ROWS]] - index.signature[hit[i : i + _ROWS]], axis=1)
            for i in range(0, max(len(hit), 1), _ROWS)
        ]
    )
    query, hit, apart = query[apart < _WIDE], hit[apart < _WIDE], apart[apart < _WIDE]
    order = np.lexsort((query, asked.image[query], index.image[hit]))  # the anchors of a pair behind each other
    query, hit, apart = query[order], hit[order], apart[order]
    n = len(hit)
    every = _Candidates(
        index.image[hit], asked.image[query] + start, index.at[hit], asked.at[query],
        np.full(n, 1.0 / scale, np.float32), np.zeros(n, np.int64), np.zeros(n, np.float32), apart < RADIUS,
    )  # fmt: skip
    return every.take(every.alike | _agreeing(every))


def _agreeing(one: _Candidates) -> npt.NDArray[np.bool_]:
    """Which candidates have a neighbour in order of the same pair, its anchors as far away in a as in b."""
    apart_a = np.linalg.norm(np.diff(one.at_a, axis=0), axis=1)
    apart_b = np.linalg.norm(np.diff(one.at_b, axis=0), axis=1) * one.ratio[1:]
    agree = (np.diff(one.a) == 0) & (np.diff(one.b) == 0)
    agree &= (np.minimum(apart_a, apart_b) > _ASIDE) & (np.abs(apart_a - apart_b) < _ASIDE)
    found = np.zeros(len(one.a), bool)
    found[1:] |= agree
    found[:-1] |= agree
    return found


def _best_turn(
    canvas: _Canvas, one: _Candidates, grid: int, turns: Sequence[int] | None, block: int = 4000
) -> _Candidates:
    """The candidates with the turn (of `turns`, or the one they have) that correlates best, and that correlation."""
    score = np.full(len(one.a), -1.0, np.float32)
    turn = one.turn.copy()
    for start in range(0, len(one.a), block):
        part = one.take(np.arange(start, min(start + block, len(one.a))))
        y, x = _grid(canvas, part.b, grid)
        there, _ = _sample(canvas, part.b, y, x)
        for k in turns if turns is not None else (None,):
            chosen = part.turn if k is None else np.full(len(part.a), k, np.int64)
            received = _correlation(canvas, part, chosen, y, x, there)
            better = received > score[start : start + block]
            score[start : start + block][better] = received[better]
            turn[start : start + block][better] = chosen[better]
    return _Candidates(one.a, one.b, one.at_a, one.at_b, one.ratio, turn, score, one.alike)


def _grid(canvas: _Canvas, image: Ints, grid: int) -> tuple[Floats, Floats]:
    """The points (y, x) of a square grid over each image."""
    cell = (np.arange(grid, dtype=np.float32) + 0.5) / grid
    height, width = (size[image].astype(np.float32)[:, None] for size in (canvas.height, canvas.width))
    return np.repeat(cell, grid) * height - 0.5, np.tile(cell, grid) * width - 0.5


def _correlation(canvas: _Canvas, one: _Candidates, turn: Ints, yb: Floats, xb: Floats, there: Floats) -> Floats:
    """Correlation of picture a with b's values `there` at (yb, xb), a laid on b; -1 where less than half overlaps."""
    dy, dx = yb - one.at_b[:, :1] * SIDE, xb - one.at_b[:, 1:] * SIDE
    m = _TURNS[turn] * one.ratio[:, None, None]
    ya = one.at_a[:, :1] * SIDE + m[:, 0, :1] * dy + m[:, 0, 1:] * dx
    xa = one.at_a[:, 1:] * SIDE + m[:, 1, :1] * dy + m[:, 1, 1:] * dx
    va, inside = _sample(canvas, one.a, ya, xa)
    count = inside.sum(axis=1)
    total = np.maximum(count, 1)
    va = (va - ((va * inside).sum(axis=1) / total)[:, None]) * inside
    vb = (there - ((there * inside).sum(axis=1) / total)[:, None]) * inside
    norm = np.sqrt((va * va).sum(axis=1) * (vb * vb).sum(axis=1)) + 1e-6
    return np.where(count > 0.5 * yb.shape[1], (va * vb).sum(axis=1) / norm, -1.0).astype(np.float32)


def _sample(canvas: _Canvas, image: Ints, y: Floats, x: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
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


def _fine_correlation(thumbnails: Sequence[bytes], one: _Candidates) -> float:
    """Correlation of hairs, dots and edges of two thumbnails laid on each other: what two lesions never share."""
    a, b = (_grey(thumbnails[int(i)]) for i in (one.a[0], one.b[0]))
    side_a, side_b = min(a.shape), min(b.shape)
    m = _TURNS[one.turn[0]] * float(one.ratio[0]) * side_a / side_b
    at_a = (one.at_a[0] + 0.5 / SIDE) * side_a - 0.5
    at_b = (one.at_b[0] + 0.5 / SIDE) * side_b - 0.5
    shift = at_a - m @ at_b
    warp = np.array([[m[1, 1], m[1, 0], shift[1]], [m[0, 1], m[0, 0], shift[0]]], np.float32)
    return max(_slid_correlation(a, b, warp), _slid_correlation(b, a, cv2.invertAffineTransform(warp)))


def _slid_correlation(a: Floats, b: Floats, warp: Floats) -> float:
    """Correlation of fine structure where a is laid on b by `warp`, before or after letting it slide into place."""
    best = _warped_correlation(a, b, warp)
    try:  # a spot is known to a fraction of a pixel, a crop's scale to a twentieth
        _, moved = cv2.findTransformECC(b, a, warp.astype(np.float32), cv2.MOTION_AFFINE, (3, 30, 1e-4), None, 3)
    except cv2.error:  # it did not converge
        return best
    stretch = np.linalg.svd(moved[:, :2] @ np.linalg.inv(warp[:, :2]), compute_uv=False)
    if stretch[0] > _STRETCH or stretch[1] < 1 / _STRETCH or stretch[0] > _SHEAR * stretch[1]:
        return best  # it bent one dark oval into another
    return max(best, _warped_correlation(a, b, moved))


def _warped_correlation(a: Floats, b: Floats, warp: Floats) -> float:
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(a, warp, b.shape[::-1], flags=flags)
    inside = cv2.warpAffine(np.ones_like(a), warp, b.shape[::-1], flags=flags) > 0.99
    inside = cv2.erode(inside.astype(np.uint8), np.ones((5, 5), np.uint8), borderValue=0) > 0
    if inside.sum() < 0.4 * b.size:
        return 0.0
    x, y = _fine(moved)[inside], _fine(b)[inside]
    x, y = x - x.mean(), y - y.mean()
    return float((x * y).sum() / (np.sqrt((x * x).sum() * (y * y).sum()) + 1e-6))


def _fine(grey: Floats) -> Floats:
    """Structure finer than a lesion, faint skin and strong borders brought to like contrast."""
    band = np.asarray(cv2.GaussianBlur(grey, (0, 0), 0.8) - cv2.GaussianBlur(grey, (0, 0), 3.0))
    return np.asarray(band / np.sqrt(cv2.GaussianBlur(band * band, (0, 0), 3.0) + _NOISE**2))


def _grey(thumbnail: bytes) -> Floats:
    return np.asarray(cv2.cvtColor(read_thumbnail(thumbnail), cv2.COLOR_RGB2GRAY), np.float32)
