"""Anchors: the few most salient spots of a picture, each with a signature that rotation and mirroring do not change.

A signature samples the picture on rings around the spot: of each ring the mean and the magnitudes of its
angular Fourier terms, which no rotation and no mirroring changes (as in Fourier-Mellin matching). Spots are
extrema of a difference of Gaussians, so they stay where they are when the border of the picture is cut off.
Brightness and contrast are divided out. Red is left out: it is what clips first on bright skin.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from components.common.imaging.thumbnail import read_thumbnail

SIDE = 32  # pixels on the short side that everything below works on
SPOTS = 8  # anchors per image
SCALES = (1.0, 0.9, 0.8)  # of the ring radii: a crop makes the short side, our unit, shorter
_ANGLES = 32
_RINGS = np.array([0.0, 0.06, 0.12, 0.18, 0.24, 0.30])  # radii, in short sides
_TERMS = 9  # angular terms below this one
_FINE, _COARSE, _SMOOTH = 0.07, 0.14, 0.04  # standard deviations of the blurs, in short sides
_FAINT = 0.25  # grey levels: below this an extremum is rounding, not picture
_TALLEST = 32_000  # rows of the stacked images; OpenCV's remap takes 32,767
_MARGIN = round(0.12 * SIDE)

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Anchors:
    """Anchors of many images.

    Attributes:
        image: (n,) which image.
        at: (n, 2) y and x in short sides.
        signature: (n, d) float32.
    """

    image: Ints
    at: Floats
    signature: Floats


def working_image(thumbnail: bytes) -> npt.NDArray[np.uint8]:
    """Green and blue of a thumbnail `[h, w, 2]`, 32 pixels on its short side."""
    rgb = read_thumbnail(thumbnail)
    height, width = rgb.shape[:2]
    short = min(height, width)
    size = (max(SIDE, round(width * SIDE / short)), max(SIDE, round(height * SIDE / short)))
    if size != (width, height):
        rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA if short > SIDE else cv2.INTER_CUBIC)
    return np.ascontiguousarray(rgb[..., 1:3])


def find_anchors(images: Sequence[npt.NDArray[np.uint8]], scale: float, batch: int = 256) -> Anchors:
    """Anchors of `images` (working images of any shapes), their rings `scale` times the usual radius."""
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for i, image in enumerate(images):
        by_shape.setdefault(image.shape, []).append(i)
    parts = []
    for shape, ids in by_shape.items():
        step = max(1, min(batch, _TALLEST // shape[0]))
        for start in range(0, len(ids), step):
            chosen = ids[start : start + step]
            stack = np.stack([images[i] for i in chosen]).astype(np.float32)
            which, at = _spots(stack.mean(3), scale)
            parts.append((np.array(chosen)[which], at / SIDE, _signatures(stack, which, at, scale)))
    image, at, signature = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Anchors(image.astype(np.int64), at.astype(np.float32), signature)


def _spots(grey: Floats, scale: float) -> tuple[Ints, Floats]:
    """Image number and (y, x) in pixels of the strongest extrema of each grey image in (n, h, w)."""
    n, height, width = grey.shape
    response = _blur(grey, _FINE * SIDE * scale) - _blur(grey, _COARSE * SIDE * scale)
    m = _MARGIN
    inner = response[:, m : height - m, m : width - m]
    around = response[:, m - 1 : height - m + 1, m - 1 : width - m + 1]
    extreme = (inner >= _window(around, np.maximum)) | (inner <= _window(around, np.minimum))
    strength = np.where(extreme, np.abs(inner), -1.0).reshape(n, -1)
    top = np.argpartition(-strength, SPOTS, axis=1)[:, :SPOTS]
    which, slot = np.nonzero(np.take_along_axis(strength, top, axis=1) > _FAINT)
    flat = top[which, slot]
    y, x = flat // inner.shape[2] + m, flat % inner.shape[2] + m
    fine = [
        _peak(response[which, y - dy, x - dx], response[which, y, x], response[which, y + dy, x + dx])
        for dy, dx in ((1, 0), (0, 1))
    ]
    return which.astype(np.int64), np.stack([y + fine[0], x + fine[1]], axis=1).astype(np.float32)


def _window(stack: Floats, extreme: np.ufunc) -> Floats:
    """The greatest (or smallest) value of each 3x3 window."""
    rows = extreme(extreme(stack[:, :-2], stack[:, 1:-1]), stack[:, 2:])
    return np.asarray(extreme(extreme(rows[:, :, :-2], rows[:, :, 1:-1]), rows[:, :, 2:]))


def _peak(before: Floats, here: Floats, after: Floats) -> Floats:
    """Where the parabola through three neighbours peaks, in [-0.5, 0.5]."""
    bend = before - 2 * here + after
    flat = np.abs(bend) < 1e-6
    peak = np.clip(0.5 * (before - after) / np.where(flat, 1.0, bend), -0.5, 0.5)
    return np.where(flat, 0.0, peak).astype(np.float32)


def _signatures(stack: Floats, which: Ints, at: Floats, scale: float) -> Floats:
    n, height, width, channels = stack.shape
    if not len(at):
        return np.zeros((0, channels * (len(_RINGS) + (len(_RINGS) - 1) * (_TERMS - 1))), np.float32)
    rings = len(_RINGS)
    smooth = np.stack([_blur(stack[..., c], _SMOOTH * SIDE * scale) for c in range(channels)], axis=-1)
    angle = (np.arange(_ANGLES) * (2 * np.pi / _ANGLES)).astype(np.float32)
    radius = (_RINGS[:, None] * SIDE * scale).astype(np.float32)
    y = _reflect(at[:, 0, None, None] + radius * np.sin(angle), height)
    x = _reflect(at[:, 1, None, None] + radius * np.cos(angle), width)
    y += (which * height).astype(np.float32)[:, None, None]  # all images stacked are one tall image
    tall = smooth.reshape(n * height, width, channels)
    x, y = (one.reshape(len(at), rings * _ANGLES).astype(np.float32) for one in (x, y))
    points = np.asarray(cv2.remap(tall, x, y, cv2.INTER_LINEAR), np.float32)
    ring: Floats = np.ascontiguousarray(points.transpose(0, 2, 1))  # (spot, channel, ring and angle)
    ring = ring - ring.mean(axis=2, keepdims=True)
    spread = np.sqrt((ring * ring).mean((1, 2), keepdims=True)) + 2.0  # 2: flat skin has only noise
    ring = (ring / spread).reshape(len(at), channels, rings, _ANGLES)
    wave = ring[:, :, 1:] @ _waves()
    terms = np.hypot(wave[..., : _TERMS - 1], wave[..., _TERMS - 1 :])
    parts = [part.reshape(len(at), math.prod(part.shape[1:])) for part in (ring.mean(3), terms)]
    return np.concatenate(parts, axis=1).astype(np.float32)


@lru_cache(maxsize=1)
def _waves() -> Floats:
    """Cosines and, behind them, sines of the angular terms, over the number of angles."""
    angle = np.outer(np.arange(_ANGLES), np.arange(1, _TERMS)) * (2 * np.pi / _ANGLES)
    return (np.concatenate([np.cos(angle), np.sin(angle)], axis=1) / _ANGLES).astype(np.float32)


def _reflect(at: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    """Positions outside 0 .. size - 1 mirrored back inside."""
    at = np.abs(at)
    return np.clip(np.where(at > size - 1, 2 * (size - 1) - at, at), 0, size - 1)


def _blur(stack: Floats, sigma: float) -> Floats:
    """Gaussian blur of each image in (n, h, w); a matrix product, since all have one shape."""
    return _blur_matrix(stack.shape[1], sigma) @ stack @ _blur_matrix(stack.shape[2], sigma).T


@lru_cache(maxsize=256)
def _blur_matrix(size: int, sigma: float) -> Floats:
    reach = int(np.ceil(3.5 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    matrix = np.zeros((size, size))
    for i in range(size):
        j = np.arange(i - reach, i + reach + 1) % (2 * (size - 1))
        np.add.at(matrix[i], np.where(j >= size, 2 * (size - 1) - j, j), kernel / kernel.sum())
    return matrix.astype(np.float32)
