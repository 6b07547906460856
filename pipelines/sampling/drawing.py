"""Drawing one lesion on its patch of skin, and taking pictures of it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pipelines.sampling.looks import Looks

Pixels = npt.NDArray[np.float32]

WIDTH, HEIGHT = 200, 150
_SIDE = 288  # the patch is larger than a picture, so that turning and shifting never shows its edge
_BROWNS = np.array([[196, 142, 104], [150, 96, 62], [104, 62, 40], [62, 38, 30]], np.float32)  # light to dark
_RED = np.array([196, 92, 92], np.float32)
_FURTHER = np.array(
    [[72, 44, 34], [46, 34, 36], [112, 116, 138], [198, 104, 96], [214, 190, 176]], np.float32
)  # dark brown, black, blue-grey, red, white
_VEIL, _LAKE, _CYST, _FLAKE, _SCAR, _VESSEL = (
    np.array(colour, np.float32)
    for colour in ((104, 118, 150), (128, 28, 52), (238, 214, 178), (240, 226, 200), (236, 208, 196), (176, 52, 56))
)
_CAMERAS = {  # gain of red, green and blue, vignette, share of pictures with a dark frame
    "vidir_molemax": ((1.02, 0.97, 0.95), 0.10, 0.0),
    "vidir_modern": ((1.0, 1.0, 1.0), 0.22, 0.1),
    "rosendahl": ((0.98, 0.99, 1.04), 0.30, 0.25),
    "vienna_dias": ((1.06, 0.97, 0.92), 0.40, 0.35),
}


@dataclass(frozen=True)
class Patch:
    """A lesion on skin, [288, 288, 3] in 0..255, the lesion in the middle."""

    pixels: Pixels
    scale: float


def draw_patch(looks: Looks, random: np.random.Generator) -> Patch:
    """Draws skin and lesion."""
    noise = _Noise(random)
    skin = _skin(noise, random)
    inside, depth = _shape(looks, noise, random)
    colour = _colours(looks, noise, random)
    colour = _structures(looks, colour, depth, noise, random)
    pixels = skin + inside[:, :, None] * (colour - skin)
    halo = np.clip(1 - np.abs(depth + 0.12) * 6, 0, 1)[:, :, None] * (0.25 * looks.redness)
    pixels += halo * (_RED - pixels)
    return Patch(pixels, 1.0)


def take_picture(patch: Patch, source: str, random: np.random.Generator) -> npt.NDArray[np.uint8]:
    """One picture of the patch: another zoom, angle, light and hair each time.

    Returns:
        uint8 [150, 200, 3], RGB.
    """
    gain, vignette, framed = _CAMERAS[source]
    zoom, angle = random.uniform(0.82, 1.2), random.uniform(0, 360)
    matrix = cv2.getRotationMatrix2D((_SIDE / 2, _SIDE / 2), angle, zoom)
    matrix[:, 2] += np.array([WIDTH, HEIGHT]) / 2 - _SIDE / 2 + random.normal(0, 5, 2)
    picture = cv2.warpAffine(patch.pixels, matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT_101)
    picture = _hairs(np.asarray(picture, np.float32), random)
    y, x = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j].astype(np.float32)
    slope = random.normal(0, 0.05, 2)
    distance = x * x + (y * 0.75) ** 2
    light = random.uniform(0.92, 1.06) * (1 + slope[0] * x + slope[1] * y) * (1 - vignette * distance**1.5 / 1.4)
    if random.random() < framed:
        radius = random.uniform(1.02, 1.25)
        light = light * (0.06 + 0.94 / (1 + np.exp(np.clip((np.sqrt(distance) - radius) * 45, -30, 30))))
    picture *= light[:, :, None].astype(np.float32) * (np.array(gain) * random.normal(1, 0.02, 3)).astype(np.float32)
    blur = random.uniform(0.0, 0.75)
    if blur > 0.3:
        picture = cv2.GaussianBlur(picture, (3, 3), blur)
    picture = picture + random.standard_normal((HEIGHT, WIDTH, 1), np.float32) * random.uniform(1.0, 2.5)
    return np.clip(picture, 0, 255).astype(np.uint8)


class _Noise:
    """Smooth random fields of the patch's size, mean 0 and deviation about 1."""

    def __init__(self, random: np.random.Generator) -> None:
        self._random = random

    def __call__(self, cells: int) -> Pixels:
        grid = self._random.standard_normal((cells + 2, cells + 2), np.float32)
        field = cv2.resize(grid, (_SIDE, _SIDE), interpolation=cv2.INTER_CUBIC)
        return np.asarray(field * np.float32(1.35), np.float32)


def _grid() -> tuple[Pixels, Pixels]:
    y, x = np.mgrid[-1 : 1 : _SIDE * 1j, -1 : 1 : _SIDE * 1j].astype(np.float32)
    return x, y


_X, _Y = _grid()
_ANGLE = np.arctan2(_Y, _X)


def _skin(noise: _Noise, random: np.random.Generator) -> Pixels:
    tan = random.beta(1.6, 3.2)
    base = np.array([228, 178, 160], np.float32) + tan * np.array([-42, -46, -58], np.float32)
    base = base + random.normal(0, 6, 3).astype(np.float32)
    mottle = noise(5) * 3.0 + noise(14) * 2.2
    lines = np.abs(noise(44)) * 3.0  # the fine furrows of skin
    pink = noise(7) * 2.5
    skin = base + (mottle - lines)[:, :, None] + pink[:, :, None] * np.array([0.4, -1.0, -0.8], np.float32)
    return np.asarray(skin, np.float32)


def _shape(looks: Looks, noise: _Noise, random: np.random.Generator) -> tuple[Pixels, Pixels]:
    """Opacity of the lesion 0..1, and depth: distance from the border in radii, positive inside."""
    turn = random.uniform(0, np.pi)
    along = (_X * np.cos(turn) + _Y * np.sin(turn)) / np.sqrt(looks.stretch)
    across = (-_X * np.sin(turn) + _Y * np.cos(turn)) * np.sqrt(looks.stretch)
    radius = np.full_like(_X, looks.radius * HEIGHT / _SIDE * 2)
    wave = np.zeros_like(_X)
    for k in range(2, 9):
        wave += np.float32(random.normal(0, 1) / k) * np.cos(k * _ANGLE + np.float32(random.uniform(0, 2 * np.pi)))
    radius *= 1 + (0.03 + 0.32 * looks.irregularity) * wave
    depth = 1 - np.sqrt(along**2 + across**2) / np.maximum(radius, 0.02)
    depth += noise(18) * (0.015 + 0.07 * looks.irregularity) + noise(36) * 0.02
    fade = looks.softness * 0.16 * (1 + 0.8 * looks.asymmetry * np.cos(_ANGLE + random.uniform(0, 6.28)))
    inside = 1 / (1 + np.exp(-np.clip(depth / np.maximum(fade, 0.012) - 0.5, -30, 30)))
    return np.asarray(inside, np.float32), np.asarray(depth, np.float32)


def _colours(looks: Looks, noise: _Noise, random: np.random.Generator) -> Pixels:
    at = looks.darkness * (len(_BROWNS) - 1)
    low = min(int(at), len(_BROWNS) - 2)
    main = _BROWNS[low] + (at - low) * (_BROWNS[low + 1] - _BROWNS[low])
    main = main + looks.redness * 0.8 * (_RED - main) + random.normal(0, 5, 3)
    turn = random.uniform(0, 2 * np.pi)
    side = (np.cos(turn) * _X + np.sin(turn) * _Y) * 3.0 * looks.asymmetry
    shade = noise(4) * 9 + noise(11) * 7 + side * 16
    colour = main.astype(np.float32) + shade[:, :, None] * np.array([1.0, 0.85, 0.7], np.float32)
    for index in random.permutation(len(_FURTHER))[: looks.colours]:
        area = noise(int(random.integers(5, 9))) + side * random.choice((-1, 1)) - random.uniform(0.4, 1.0)
        weight = 0.75 / (1 + np.exp(np.clip(-area * 4, -30, 30)))
        colour += weight[:, :, None].astype(np.float32) * (_FURTHER[index] - colour)
    return np.asarray(colour, np.float32)


def _structures(looks: Looks, colour: Pixels, depth: Pixels, noise: _Noise, random: np.random.Generator) -> Pixels:
    if looks.network:
        cells = int(46 - 20 * looks.coarseness)
        lines = np.clip(1 - np.abs(noise(cells)) * (2.6 - 0.8 * looks.coarseness), 0, 1)
        patchy = np.clip(0.8 + looks.coarseness * noise(5) * 0.8, 0, 1.3)
        rim = np.clip(1.25 - 0.9 * depth, 0.15, 1.0)
        colour = colour * (1 - (0.42 * looks.network) * lines * patchy * rim)[:, :, None]
    if looks.veil:
        veil = looks.veil * 0.8 / (1 + np.exp(np.clip(-(noise(4) - 0.5) * 4, -30, 30)))
        colour = colour + veil[:, :, None].astype(np.float32) * (_VEIL - colour)
    if looks.scar:
        turn = 0.55 + 0.2 * noise(7)
        scar = looks.scar * 0.8 * np.clip((depth - turn) * 4, 0, 1)
        colour = colour + scar[:, :, None].astype(np.float32) * (_SCAR - colour)
    if looks.scale:
        flakes = looks.scale * 0.8 * np.clip(noise(30) * 1.2 + noise(8) * 0.8 - 1.1, 0, 1)
        colour = colour + flakes[:, :, None].astype(np.float32) * (_FLAKE - colour)
    colour = np.ascontiguousarray(colour, np.float32)
    _dots(colour, looks, random)
    for _ in range(looks.vessels):
        _vessel(colour, looks, random)
    return colour


def _dots(colour: Pixels, looks: Looks, random: np.random.Generator) -> None:
    """Globules, cysts and lakes, in place."""
    reach = looks.radius * HEIGHT
    for count, tone, sizes, strength in (
        (looks.globules, _BROWNS[3], (1.2, 2.8), 0.6),
        (looks.cysts, _CYST, (1.0, 2.4), 0.75),
        (looks.lacunae, _LAKE, (5.0, 12.0), 0.8),
    ):
        if not count:
            continue
        layer = np.zeros((_SIDE, _SIDE), np.float32)
        for _ in range(count):
            turn, away = random.uniform(0, 2 * np.pi), np.sqrt(random.random()) * reach * 0.85
            centre = _SIDE / 2 + away * np.cos(turn), _SIDE / 2 + away * np.sin(turn)
            size = random.uniform(*sizes)
            axes = (max(1, round(16 * size)), max(1, round(16 * size * random.uniform(0.7, 1.0))))
            where = (round(16 * centre[0]), round(16 * centre[1]))
            cv2.ellipse(layer, (where, (axes[0] * 2, axes[1] * 2), 0), 1.0, -1) if False else cv2.circle(
                layer, where, axes[0], 1.0, -1, cv2.LINE_AA, 4
            )
        layer = cv2.GaussianBlur(layer, (5, 5), 1.1) * strength
        colour += layer[:, :, None] * (tone - colour)


def _vessel(colour: Pixels, looks: Looks, random: np.random.Generator) -> None:
    """One branching vessel, in place."""
    layer = np.zeros((_SIDE, _SIDE), np.float32)
    reach = looks.radius * HEIGHT
    turn = random.uniform(0, 2 * np.pi)
    start = _SIDE / 2 + reach * 0.8 * np.array([np.cos(turn), np.sin(turn)])
    stack = [(start, turn + np.pi + random.normal(0, 0.5), reach * 1.1, 2)]
    while stack:
        place, way, length, order = stack.pop()
        steps = max(3, int(length / 5))
        ways = way + np.cumsum(random.normal(0, 0.28, steps))
        points = place + np.cumsum(np.stack([np.cos(ways), np.sin(ways)], 1) * 5, axis=0)
        line = np.rint(np.vstack([place, points]) * 16).astype(np.int32)
        cv2.polylines(layer, [line], False, 0.35 + 0.25 * order, order if order > 1 else 1, cv2.LINE_AA, 4)
        if order > 0:
            for at in random.choice(steps, 2, replace=False):
                stack.append((points[at], ways[at] + random.choice((-1, 1)) * random.uniform(0.5, 1.1), length * 0.5, order - 1))
    layer = cv2.GaussianBlur(layer, (3, 3), 0.8)
    colour += np.clip(layer, 0, 0.85)[:, :, None] * (_VESSEL - colour)


def _hairs(picture: Pixels, random: np.random.Generator) -> Pixels:
    count = int(random.choice((0, 0, 0, 2, 5, 12)))
    if not count:
        return picture
    layer = np.zeros((HEIGHT, WIDTH), np.float32)
    way = random.uniform(0, np.pi)
    for _ in range(count):
        centre = random.uniform((0, 0), (WIDTH, HEIGHT))
        turn, length, bend = way + random.normal(0, 0.35), random.uniform(30, 110), random.normal(0, 0.004)
        along = np.linspace(-length / 2, length / 2, 14)
        x = centre[0] + along * np.cos(turn) - bend * along**2 * np.sin(turn)
        y = centre[1] + along * np.sin(turn) + bend * along**2 * np.cos(turn)
        line = np.rint(np.stack([x, y], 1) * 16).astype(np.int32)
        cv2.polylines(layer, [line], False, random.uniform(0.5, 0.95), 1, cv2.LINE_AA, 4)
    tone = np.array([58, 42, 36], np.float32) + random.uniform(0, 40)
    return picture + cv2.GaussianBlur(layer, (3, 3), 0.5)[:, :, None] * (tone - picture)
