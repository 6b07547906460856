"""Pair verification: correlation of band-passed images after affine alignment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from components.common.imaging.thumbnail import read_thumbnail
from components.split.near_duplicates.align import TURNS, Candidates
from components.split.near_duplicates.anchors import SIDE

IN_PART = 0.145  # distance above which two pictures agree only in part
_SAME = 1.0 - IN_PART  # correlation required of the fine structure as a whole
_SURE = 0.93  # below this correlation two pictures also need a very similar anchor and a similar mean colour
_HUE = 0.15  # largest difference of mean colour that is similar
_HOPELESS = 0.5  # below this when a is moved onto b, b is not moved onto a
_LIGHT = 0.04  # difference of mean colour below which two photographs may be of one session
_WINDOW_SHARES = {0.15: 0.88, 0.30: 0.58}  # shares of all windows, and the correlation that these must then reach
_WINDOW = 16  # pixels
_FLAT = 0.05  # variance of fine structure below which a window shows nothing
_FAINT = 0.1  # the median window must show more than this
_STRETCH, _SHEAR = 1.12, 1.08  # how far refinement may change the scale, and one axis's against the other's
_STEPS = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 8, 1e-4)  # of refinement; more change no verdict
_NOISE = 2.0  # grey levels by which re-encoding changes a thumbnail

Floats = npt.NDArray[np.floating[Any]]


class _Windows(NamedTuple):
    """Variances and covariance of fine structure in each window that lies inside both pictures."""

    a: Floats
    b: Floats
    both: Floats


@dataclass(frozen=True)
class _Aligned:
    """Fine structure of two aligned pictures."""

    a: Floats
    b: Floats
    inside: npt.NDArray[np.bool_]

    @cached_property
    def correlation(self) -> float:
        """Over all that lies inside both; 0 where that is too little."""
        if self.inside.sum() < 0.4 * self.inside.size:
            return 0.0
        x, y = self.a[self.inside], self.b[self.inside]
        x, y = x - x.mean(), y - y.mean()
        return float((x * y).sum() / (np.sqrt((x * x).sum() * (y * y).sum()) + 1e-6))

    def has_structure(self) -> bool:
        """Whether there is enough structure to tell two lesions apart; plain skin with a dark corner has too little."""
        windows = self._windows
        return len(windows.a) > 0 and float(np.median(np.minimum(windows.a, windows.b))) > _FAINT

    @cached_property
    def window_correlations(self) -> Floats:
        """Correlation in each window, the highest first; 0 where it is flat or leaves a picture."""
        windows = self._windows
        seen = (windows.a > _FLAT) & (windows.b > _FLAT)
        received = np.zeros(self.inside.size, np.float32)
        received[: seen.sum()] = windows.both[seen] / np.sqrt(windows.a[seen] * windows.b[seen])
        return np.sort(received)[::-1]

    @cached_property
    def _windows(self) -> _Windows:
        share = _mean(self.inside.astype(np.float32))
        whole = share > 0.95
        x, y = self.a * self.inside, self.b * self.inside
        mean_x, mean_y, xx, yy, xy = (_mean(one)[whole] / share[whole] for one in (x, y, x * x, y * y, x * y))
        return _Windows(xx - mean_x**2, yy - mean_y**2, xy - mean_x * mean_y)


def same_picture(one: Candidates, a: bytes, b: bytes) -> tuple[bool, float]:
    """Whether thumbnails a and b show the same picture, aligned as the one candidate says.

    Two photographs of one session differ in how the skin was pressed and in the angle, so that they agree in parts
    only. Such a pair counts, too, if the light is the same.

    Returns:
        The verdict, and the correlation of hairs, dots and edges, which two lesions never share.
    """
    colours = [read_thumbnail(data) for data in (a, b)]
    aligned = list(_alignments(one, *map(_grey, colours)))
    correlation = max(one.correlation for one in aligned)
    x, y = (np.log(rgb.mean(axis=(0, 1)) + 1.0) for rgb in colours)
    hue = float(np.abs((x - x[1]) - (y - y[1])).max())  # relative to green: a brighter or darker copy keeps it
    same = correlation >= _SURE or (correlation >= _SAME and bool(one.very_similar[0]) and hue <= _HUE)
    if not same and hue <= _LIGHT:
        same = any(_agree_in_windows(one.window_correlations) for one in aligned)
    return same and any(one.has_structure() for one in aligned), correlation


def _agree_in_windows(correlations: Floats) -> bool:
    return all(correlations[int(share * len(correlations))] >= least for share, least in _WINDOW_SHARES.items())


def _alignments(one: Candidates, a: Floats, b: Floats) -> Iterator[_Aligned]:
    """Picture a moved onto b, and b onto a, each as the candidate says and after refinement."""
    side_a, side_b = min(a.shape), min(b.shape)
    m = TURNS[one.turn[0]] * float(one.ratio[0]) * side_a / side_b
    at_a = (one.at_a[0] + 0.5 / SIDE) * side_a - 0.5
    at_b = (one.at_b[0] + 0.5 / SIDE) * side_b - 0.5
    shift = at_a - m @ at_b
    warp = np.array([[m[1, 1], m[1, 0], shift[1]], [m[0, 1], m[0, 0], shift[0]]], np.float32)
    there = list(_with_refinement(a, b, warp))
    yield from there
    if max(aligned.correlation for aligned in there) >= _HOPELESS:
        yield from _with_refinement(b, a, cv2.invertAffineTransform(warp))


def _with_refinement(a: Floats, b: Floats, warp: Floats) -> Iterator[_Aligned]:
    """Picture a moved onto b by `warp`, before and, where it converges, after refinement (ECC)."""
    fixed = _fine(b)
    yield _warped(a, fixed, warp)
    try:  # an anchor is known to a fraction of a pixel, a crop's scale to a twentieth
        _, moved = cv2.findTransformECC(b, a, warp.astype(np.float32), cv2.MOTION_AFFINE, _STEPS, None, 3)
    except cv2.error:  # it did not converge
        return
    stretch = np.linalg.svd(moved[:, :2] @ np.linalg.inv(warp[:, :2]), compute_uv=False)
    if stretch[0] > _STRETCH or stretch[1] < 1 / _STRETCH or stretch[0] > _SHEAR * stretch[1]:
        return  # it bent one dark oval into another
    yield _warped(a, fixed, moved)


def _warped(a: Floats, fixed: Floats, warp: Floats) -> _Aligned:
    """Picture a moved by `warp` onto one whose fine structure is `fixed`."""
    size, flags = fixed.shape[::-1], cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(a, warp, size, flags=flags)
    inside = cv2.warpAffine(np.ones_like(a), warp, size, flags=flags) > 0.99
    inside = cv2.erode(inside.astype(np.uint8), np.ones((5, 5), np.uint8), borderValue=0) > 0
    return _Aligned(_fine(np.asarray(moved)), fixed, inside)


def _mean(values: Floats) -> Floats:
    return np.asarray(cv2.boxFilter(values, cv2.CV_32F, (_WINDOW, _WINDOW), borderType=cv2.BORDER_CONSTANT))


def _fine(grey: Floats) -> Floats:
    """Structure finer than a lesion, with the contrast of faint skin and of strong borders equalised."""
    band = np.asarray(cv2.GaussianBlur(grey, (0, 0), 0.8) - cv2.GaussianBlur(grey, (0, 0), 3.0))
    return np.asarray(band / np.sqrt(cv2.GaussianBlur(band * band, (0, 0), 3.0) + _NOISE**2))


def _grey(rgb: npt.NDArray[np.uint8]) -> Floats:
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.float32)
