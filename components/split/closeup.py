"""The last look at two pictures: their fine structure, after letting one slide into place on the other."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from components.common.thumbnail import read_thumbnail
from components.split.anchors import SIDE
from components.split.overlay import TURNS, Candidates

_SAME = 0.855  # correlation demanded of fine structure
_SURE, _HUE = 0.93, 0.15  # below this correlation two pictures must have a much like anchor and like mean colour
_HOPELESS = 0.5  # below this one way, the other way round is not tried
_STRETCH, _SHEAR = 1.12, 1.08  # how far sliding into place may change scale, and one direction's against the other's
_STEPS = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 8, 1e-4)  # of sliding; more change no verdict
_NOISE = 2.0  # grey levels of a thumbnail that re-encoding changes

Floats = npt.NDArray[np.floating[Any]]


def look_closely(one: Candidates, a: bytes, b: bytes) -> tuple[bool, float]:
    """Whether thumbnails a and b show the same picture, laid on each other as the one candidate says.

    Returns:
        The verdict, and the correlation of hairs, dots and edges: what two lesions never share.
    """
    correlation = _fine_correlation(one, _grey(a), _grey(b))
    if correlation >= _SURE or correlation < _SAME or not one.alike[0]:
        return correlation >= _SURE, correlation
    x, y = (np.log(read_thumbnail(data).mean(axis=(0, 1)) + 1.0) for data in (a, b))
    hue = (x - x[1]) - (y - y[1])  # against green: a brighter or darker copy keeps it
    return bool(np.abs(hue).max() <= _HUE), correlation


def _fine_correlation(one: Candidates, a: Floats, b: Floats) -> float:
    side_a, side_b = min(a.shape), min(b.shape)
    m = TURNS[one.turn[0]] * float(one.ratio[0]) * side_a / side_b
    at_a = (one.at_a[0] + 0.5 / SIDE) * side_a - 0.5
    at_b = (one.at_b[0] + 0.5 / SIDE) * side_b - 0.5
    shift = at_a - m @ at_b
    warp = np.array([[m[1, 1], m[1, 0], shift[1]], [m[0, 1], m[0, 0], shift[0]]], np.float32)
    there = _slid_correlation(a, b, warp)
    return there if there < _HOPELESS else max(there, _slid_correlation(b, a, cv2.invertAffineTransform(warp)))


def _slid_correlation(a: Floats, b: Floats, warp: Floats) -> float:
    """Correlation of fine structure where a is laid on b by `warp`, before or after letting it slide into place."""
    best = _warped_correlation(a, b, warp)
    try:  # a spot is known to a fraction of a pixel, a crop's scale to a twentieth
        _, moved = cv2.findTransformECC(b, a, warp.astype(np.float32), cv2.MOTION_AFFINE, _STEPS, None, 3)
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
