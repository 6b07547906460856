"""Near-duplicates by picture: candidates from a ball tree over anchors, then the two pictures laid on each other.

Survives re-encoding, shrinking, turning by quarters, mirroring, cropped borders and changed brightness. Each
image asks the tree for neighbours within a small radius, so the work grows with the number of images and of
look-alikes, not with all pairs.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from components.common.events import progress
from components.common.thumbnail import read_thumbnail
from components.split.anchors import SCALES, SIDE, Anchors, find_anchors, working_image

RADIUS = 0.15  # between signatures; of planted copies at least 0.98 have an anchor nearer than this
_DIMENSIONS = 16  # of the tree; a projection never lengthens a distance, so it loses no neighbour
_ROUGH, _CLOSE, _SAME = 0.90, 0.965, 0.86  # correlations demanded at each stage
_SURE, _HUE = 0.93, 0.15  # below this correlation two pictures must also have like mean colour (log ratios)
_STRETCH, _SHEAR = 1.12, 1.08  # how far sliding into place may change scale, and one direction's against the other's
_NOISE = 2.0  # grey levels of a thumbnail that re-encoding changes
_BLOCK = 2000  # images asked about at a time: memory stays flat
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

    def take(self, keep: npt.NDArray[Any]) -> _Candidates:
        return _Candidates(*(getattr(self, name)[keep] for name in self.__dataclass_fields__))


def match(thumbnails: Sequence[bytes]) -> tuple[Ints, Ints, Floats]:
    """All near-duplicate pairs among `thumbnails`.

    Returns:
        Left and right image of each pair (left < right), and 1 - correlation of their fine structure.
    """
    images = [working_image(one) for one in thumbnails]
    if len(images) < 2:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32)
    canvas, shape = _canvas(images)
    found: dict[tuple[int, int], tuple[float, _Candidates]] = {}
    for rough in _candidates(images):
        near = _best_turn(canvas, shape, rough, 8, range(len(_TURNS)))
        near = near.take(near.score > _ROUGH)
        near = _best_turn(canvas, shape, near, 24, None)
        near = near.take(near.score > _CLOSE)
        for i in range(len(near.a)):
            key = (int(min(near.a[i], near.b[i])), int(max(near.a[i], near.b[i])))
            if key not in found or near.score[i] > found[key][0]:
                found[key] = (float(near.score[i]), near.take(np.array([i])))
    pairs = [(key, max(0.0, 1.0 - _fine_correlation(thumbnails, one))) for key, (_, one) in sorted(found.items())]
    same = [(key, distance) for key, distance in pairs if _is_same(thumbnails, key, 1.0 - distance)]
    log.info("near-duplicates: %d pairs looked at closely, %d are the same picture", len(pairs), len(same))
    left, right = (np.array([key[i] for key, _ in same], np.int64) for i in (0, 1))
    return left, right, np.array([distance for _, distance in same], np.float32)


def _is_same(thumbnails: Sequence[bytes], pair: tuple[int, int], correlation: float) -> bool:
    if correlation < _SAME or correlation >= _SURE:
        return correlation >= _SURE
    a, b = (np.log(read_thumbnail(thumbnails[i]).mean(axis=(0, 1)) + 1.0) for i in pair)
    hue = (a - a[1]) - (b - b[1])  # against green: a brighter or darker copy keeps it
    return bool(np.abs(hue).max() <= _HUE)


def _candidates(images: Sequence[npt.NDArray[np.uint8]]) -> Iterator[_Candidates]:
    from sklearn.neighbors import KDTree

    index = find_anchors(images, SCALES[0])
    if len(index.image) < 2:
        return
    mean = index.signature.mean(axis=0)
    _, axes = np.linalg.eigh(np.cov((index.signature - mean).T))
    axes = axes[:, -_DIMENSIONS:].astype(np.float32)
    tree = KDTree((index.signature - mean) @ axes)
    with progress("near-duplicates", len(images)) as bar:
        for start in range(0, len(images), _BLOCK):
            block = images[start : start + _BLOCK]
            for scale in SCALES:
                asked = find_anchors(block, scale)
                near = tree.query_radius((asked.signature - mean) @ axes, RADIUS)
                yield _join(index, asked, near, start, scale)
            bar.advance(len(block))


def _join(index: Anchors, asked: Anchors, near: npt.NDArray[np.object_], start: int, scale: float) -> _Candidates:
    query = np.repeat(np.arange(len(near)), [len(one) for one in near])
    hit = np.concatenate(near).astype(np.int64) if len(near) else np.zeros(0, np.int64)
    a, b = index.image[hit], asked.image[query] + start
    keep = a < b if scale == SCALES[0] else a != b  # at one scale the question is asked from both sides
    query, hit = query[keep], hit[keep]
    apart = np.sqrt(((asked.signature[query] - index.signature[hit]) ** 2).sum(axis=1))
    query, hit = query[apart < RADIUS], hit[apart < RADIUS]
    n = len(hit)
    return _Candidates(
        index.image[hit], asked.image[query] + start, index.at[hit], asked.at[query],
        np.full(n, 1.0 / scale, np.float32), np.zeros(n, np.int64), np.zeros(n, np.float32),
    )  # fmt: skip


def _canvas(images: Sequence[npt.NDArray[np.uint8]]) -> tuple[Floats, Ints]:
    """Blurred grey working images on one canvas (n, h, w), and their (height, width)."""
    shape = np.array([image.shape[:2] for image in images], np.int64)
    canvas = np.zeros((len(images), *shape.max(axis=0)), np.float32)
    for i, image in enumerate(images):
        grey = cv2.GaussianBlur(image.mean(axis=2).astype(np.float32), (0, 0), 1.0)
        canvas[i, : grey.shape[0], : grey.shape[1]] = grey
    return canvas, shape


def _best_turn(
    canvas: Floats, shape: Ints, one: _Candidates, grid: int, turns: Sequence[int] | None, block: int = 4000
) -> _Candidates:
    """The candidates with the turn (of `turns`, or the one they have) that correlates best, and that correlation."""
    score = np.full(len(one.a), -1.0, np.float32)
    turn = one.turn.copy()
    for start in range(0, len(one.a), block):
        part = one.take(np.arange(start, min(start + block, len(one.a))))
        for k in turns if turns is not None else (None,):
            chosen = part.turn if k is None else np.full(len(part.a), k, np.int64)
            received = _correlation(canvas, shape, part, chosen, grid)
            better = received > score[start : start + block]
            score[start : start + block][better] = received[better]
            turn[start : start + block][better] = chosen[better]
    return _Candidates(one.a, one.b, one.at_a, one.at_b, one.ratio, turn, score)


def _correlation(canvas: Floats, shape: Ints, one: _Candidates, turn: Ints, grid: int) -> Floats:
    """Correlation of picture a, laid on picture b, over a grid of points of b; -1 where less than half overlaps."""
    cell = (np.arange(grid, dtype=np.float32) + 0.5) / grid
    size = shape[one.b].astype(np.float32)
    yb = np.repeat(cell, grid) * size[:, :1] - 0.5
    xb = np.tile(cell, grid) * size[:, 1:] - 0.5
    dy, dx = yb - one.at_b[:, :1] * SIDE, xb - one.at_b[:, 1:] * SIDE
    m = _TURNS[turn] * one.ratio[:, None, None]
    ya = one.at_a[:, :1] * SIDE + m[:, 0, :1] * dy + m[:, 0, 1:] * dx
    xa = one.at_a[:, 1:] * SIDE + m[:, 1, :1] * dy + m[:, 1, 1:] * dx
    va, inside = _sample(canvas, shape, one.a, ya, xa)
    vb, _ = _sample(canvas, shape, one.b, yb, xb)
    count = inside.sum(axis=1)
    total = np.maximum(count, 1)
    va = (va - ((va * inside).sum(axis=1) / total)[:, None]) * inside
    vb = (vb - ((vb * inside).sum(axis=1) / total)[:, None]) * inside
    norm = np.sqrt((va * va).sum(axis=1) * (vb * vb).sum(axis=1)) + 1e-6
    return np.where(count > 0.5 * grid * grid, (va * vb).sum(axis=1) / norm, -1.0).astype(np.float32)


def _sample(canvas: Floats, shape: Ints, image: Ints, y: Floats, x: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Bilinear values of the images at (y, x), and whether the points lie inside."""
    height, width = shape[image, :1], shape[image, 1:]
    inside = (y >= 0) & (y <= height - 1) & (x >= 0) & (x <= width - 1)
    y, x = np.clip(y, 0, height - 1.001), np.clip(x, 0, width - 1.001)
    y0, x0 = y.astype(np.int64), x.astype(np.int64)
    fy, fx = (y - y0).astype(np.float32), (x - x0).astype(np.float32)
    flat, row = canvas.reshape(-1), canvas.shape[2]
    corner = (image[:, None] * canvas.shape[1] + y0) * row + x0
    upper = flat[corner] * (1 - fx) + flat[corner + 1] * fx
    lower = flat[corner + row] * (1 - fx) + flat[corner + row + 1] * fx
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
