"""Small things with an outline: globules, cysts, lakes, vessels and hairs."""

from __future__ import annotations

import math

import cv2
import numpy as np

from pipelines.sample.fields import Field, mix
from pipelines.sample.looks import Looks

_GLOBULE, _CYST, _LAKE, _VESSEL = (
    np.array(tone, np.float32) for tone in ((66, 42, 36), (228, 206, 180), (124, 36, 62), (170, 62, 70))
)
_SHIFT = 4  # OpenCV draws with this many binary places below the pixel


def draw_dots(colour: Field, looks: Looks, reach: float, random: np.random.Generator) -> None:
    """Draws the lesion's globules, cysts and lakes on `colour` [3, side, side], in place."""
    side = colour.shape[1]
    for count, tone, smallest, largest, strength in (
        (looks.globules, _GLOBULE, 0.8, 2.2, 0.55),
        (looks.cysts, _CYST, 0.8, 2.0, 0.6),
        (looks.lacunae, _LAKE, 2.5, 8.0, 0.75),
    ):
        if not count:
            continue
        layer = np.zeros((side, side), np.float32)
        for _ in range(count):
            turn, away = random.uniform(0, 2 * math.pi), math.sqrt(random.random()) * reach * 0.9
            where = _fixed(side / 2 + away * math.cos(turn)), _fixed(side / 2 + away * math.sin(turn))
            size = random.uniform(smallest, largest)
            cv2.circle(layer, where, _fixed(size), random.uniform(0.6, 1.0), -1, cv2.LINE_AA, _SHIFT)
        blur = 0.8 + largest / 8
        mix(colour, cv2.GaussianBlur(layer, (5, 5), blur) * np.float32(strength), tone)


def draw_vessels(colour: Field, count: int, reach: float, random: np.random.Generator) -> None:
    """Draws branching vessels on `colour` [3, side, side], in place."""
    if not count:
        return
    side = colour.shape[1]
    layer = np.zeros((side, side), np.float32)
    for _ in range(count):
        turn = random.uniform(0, 2 * math.pi)
        x, y = (side / 2 + reach * 0.9 * part for part in (math.cos(turn), math.sin(turn)))
        _branch(layer, x, y, turn + math.pi + random.normal(0, 0.5), reach, 2, random)
    mix(colour, np.clip(cv2.GaussianBlur(layer, (3, 3), 0.7), 0, 0.75), _VESSEL)


def _branch(
    layer: Field, x: float, y: float, way: float, length: float, order: int, random: np.random.Generator
) -> None:
    steps = max(3, int(length / 4))
    ways = way + np.cumsum(random.normal(0, 0.3, steps))
    points = np.stack([x + np.cumsum(np.cos(ways)) * 4, y + np.cumsum(np.sin(ways)) * 4], 1)
    line = np.rint(np.vstack([[x, y], points]) * 2**_SHIFT).astype(np.int32)
    cv2.polylines(layer, [line], False, 0.3 + 0.25 * order, 1, cv2.LINE_AA, _SHIFT)
    if order:
        for at in random.choice(steps, 2, replace=False):
            turn = ways[at] + random.choice((-1, 1)) * random.uniform(0.5, 1.1)
            _branch(layer, float(points[at, 0]), float(points[at, 1]), turn, length * 0.5, order - 1, random)


def draw_hairs(picture: Field, random: np.random.Generator) -> None:
    """Draws no, few or many hairs that lie about the same way on `picture` [h, w, 3], in place."""
    count = int(random.choice((0, 0, 0, 2, 5, 12)))
    if not count:
        return
    height, width = picture.shape[:2]
    layer = np.zeros((height, width), np.float32)
    way = random.uniform(0, math.pi)
    for _ in range(count):
        x, y = random.uniform(0, width), random.uniform(0, height)
        turn, length, bend = way + random.normal(0, 0.35), random.uniform(30, 130), random.normal(0, 0.004)
        along = np.linspace(-length / 2, length / 2, 14)
        across = bend * along**2
        line = np.stack(
            [
                x + along * math.cos(turn) - across * math.sin(turn),
                y + along * math.sin(turn) + across * math.cos(turn),
            ],
            1,
        )
        points = np.rint(line * 2**_SHIFT).astype(np.int32)
        cv2.polylines(layer, [points], False, random.uniform(0.35, 0.9), 1, cv2.LINE_AA, _SHIFT)
    tone = np.array([58, 42, 36], np.float32) + np.float32(random.uniform(0, 50))
    weight = cv2.GaussianBlur(layer, (3, 3), 0.5)[:, :, None]
    picture += weight * (tone - picture)


def _fixed(value: float) -> int:
    return int(round(value * 2**_SHIFT))  # noqa: RUF046 - a NumPy float rounds to a NumPy float
