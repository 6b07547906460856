"""Drawing one lesion on its patch of skin, and taking pictures of it."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from pipelines.sample.looks import Looks

Field = npt.NDArray[np.float32]
WIDTH, HEIGHT = 200, 150
_SIDE = 232  # the patch is larger than a picture: turning and shifting it shows little of its edge
_BROWNS = np.array([[190, 140, 108], [150, 98, 68], [106, 64, 46], [62, 40, 34]], np.float32)  # light to dark
_RED = np.array([188, 96, 96], np.float32)
_FURTHER = np.array(
    [[78, 48, 38], [48, 36, 38], [116, 112, 126], [186, 104, 96], [206, 180, 166]], np.float32
)  # dark brown, black, blue-grey, red, white
_VEIL = np.array([104, 108, 134], np.float32)
_CAMERAS = {  # gain of red, green and blue, vignette, share of pictures with a dark frame
    "sample_camera_a": ((1.04, 0.95, 0.97), 0.15, 0.05),
    "sample_camera_b": ((0.98, 0.98, 1.06), 0.35, 0.2),
}
_SHIFT = 4  # OpenCV draws with this many binary places below the pixel
_GRID = np.linspace(-1, 1, HEIGHT, dtype=np.float32)[:, None], np.linspace(-1, 1, WIDTH, dtype=np.float32)[None, :]
_DISTANCE = _GRID[1] ** 2 + (_GRID[0] * np.float32(0.75)) ** 2
_FALLOFF = _DISTANCE ** np.float32(1.5) / np.float32(1.4)
_EDGE = np.sqrt(_DISTANCE)


def draw_patch(looks: Looks, random: np.random.Generator) -> Field:
    """Draws skin with the lesion in the middle.

    Returns:
        float32 [232, 232, 3], RGB in about 0..255.
    """
    skin = _skin(random)
    reach = looks.radius * HEIGHT * math.sqrt(looks.stretch) * (1.25 + 0.5 * looks.irregularity) + 12
    low = max(0, _SIDE // 2 - int(reach))
    side = _SIDE - 2 * low
    noise = _Noise(side, random)
    inside, depth = _shape(looks, noise)
    colour = _colours(looks, noise)
    _structures(looks, colour, depth, noise)
    box = skin[:, low : low + side, low : low + side]
    _mix(box, np.clip(1 - np.abs(depth + 0.15) * 5, 0, 1) * np.float32(0.3 * looks.redness), _RED)
    box += inside * (colour - box)
    return np.asarray(cv2.merge(list(skin)), np.float32)


def take_picture(patch: Field, source: str, random: np.random.Generator) -> npt.NDArray[np.uint8]:
    """One picture of the patch: another zoom, angle, light and hair each time.

    Returns:
        uint8 [150, 200, 3], RGB.
    """
    gain, vignette, framed = _CAMERAS[source]
    matrix = cv2.getRotationMatrix2D((_SIDE / 2, _SIDE / 2), random.uniform(0, 360), random.uniform(0.85, 1.2))
    matrix[:, 2] += np.array([WIDTH, HEIGHT]) / 2 - _SIDE / 2 + random.normal(0, 5, 2)
    picture = cv2.warpAffine(patch, matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT_101)
    _hairs(picture, random)
    slope = random.normal(0, 0.04, 2).astype(np.float32)
    light = np.float32(random.uniform(0.92, 1.08)) * (1 + slope[0] * _GRID[1] + slope[1] * _GRID[0])
    light *= 1 - np.float32(vignette) * _FALLOFF
    if random.random() < framed:
        radius = random.uniform(1.0, 1.25)
        light *= np.float32(0.06) + np.float32(0.94) * _ramp((np.float32(radius) - _EDGE) * np.float32(12))
    tint = (np.array(gain) * random.normal(1, 0.025, 3)).astype(np.float32)
    grain = random.standard_normal((HEIGHT, WIDTH), np.float32) * np.float32(random.uniform(1.0, 3.0))
    picture *= light[:, :, None] * tint
    blur = random.uniform(0.0, 0.8)
    if blur > 0.35:
        picture = cv2.GaussianBlur(picture, (3, 3), blur)
    return np.asarray(np.clip(picture + grain[:, :, None], 0, 255).astype(np.uint8), np.uint8)


def _skin(random: np.random.Generator) -> Field:
    noise = _Noise(_SIDE, random)
    tan = random.beta(1.5, 3.2)
    base = np.array([226, 184, 172], np.float32) + np.float32(tan) * np.array([-40, -46, -54], np.float32)
    base += random.normal(0, 7, 3).astype(np.float32)
    coarse, fine = noise(40), noise(3.2)
    tone = coarse * 2 + noise(13) * 3 + fine * 2.5 - _crest(noise(5), 0.5) * np.float32(random.uniform(1, 7))
    flush = coarse + noise(9) * np.float32(random.uniform(0.3, 1.5))
    skin = np.stack([base[0] + tone, base[1] + tone - 2.2 * flush, base[2] + tone - 1.8 * flush])
    return np.asarray(skin, np.float32)


def _shape(looks: Looks, noise: _Noise) -> tuple[Field, Field]:
    """Opacity of the lesion 0..1, and depth: distance from its border in radii, positive inside."""
    random, half = noise.random, noise.side / 2
    line = ((np.arange(noise.side, dtype=np.float32) + 0.5) - np.float32(half)) / np.float32(looks.radius * HEIGHT)
    x, y = line[None, :], line[:, None]
    turn, root = random.uniform(0, math.pi), math.sqrt(looks.stretch)
    along = x * (math.cos(turn) / root) + y * (math.sin(turn) / root)
    across = y * (math.cos(turn) * root) - x * (math.sin(turn) * root)
    angle = np.linspace(-math.pi, math.pi, 361, dtype=np.float32)
    wave = sum(
        random.normal(0, 1) / k * np.cos(k * angle + random.uniform(0, 2 * math.pi)).astype(np.float32)
        for k in range(2, 9)
    )
    outline = (1 + (0.03 + 0.3 * looks.irregularity) * np.asarray(wave)).astype(np.float32)
    # one cosine per degree, looked up by angle: a hundredth of the work of one per pixel
    where = cv2.phase(np.broadcast_to(along, across.shape).copy(), across, angleInDegrees=True)
    radius = np.maximum(outline[where.astype(np.int16)], np.float32(0.25))
    depth = 1 - np.sqrt(along * along + across * across) / radius
    depth += noise(14) * np.float32(0.03 + 0.07 * looks.irregularity) + noise(5) * np.float32(0.05)
    depth += noise(2.4) * np.float32(0.025)
    fade = np.float32(0.05 + looks.softness * 0.4) * (1 + np.float32(0.6 * looks.asymmetry) * noise(noise.side / 2))
    return _ramp((depth - 0.02) / np.maximum(fade, np.float32(0.04))), np.asarray(depth, np.float32)


def _colours(looks: Looks, noise: _Noise) -> Field:
    random = noise.random
    at = looks.darkness * (len(_BROWNS) - 1)
    low = min(int(at), len(_BROWNS) - 2)
    main = _BROWNS[low] + np.float32(at - low) * (_BROWNS[low + 1] - _BROWNS[low])
    main = main + np.float32(looks.redness * 0.7) * (_RED - main) + random.normal(0, 5, 3).astype(np.float32)
    turn = random.uniform(0, 2 * math.pi)
    line = np.linspace(-1, 1, noise.side, dtype=np.float32)
    side = (line[None, :] * np.float32(math.cos(turn)) + line[:, None] * np.float32(math.sin(turn))) * np.float32(
        1.8 * looks.asymmetry
    )
    grain = noise(3.5)
    shade = noise(26) * 8 + noise(9) * 8 + grain * 6 + side * 18
    colour = np.stack([main[0] + shade, main[1] + shade * np.float32(0.85), main[2] + shade * np.float32(0.75)])
    for index in random.permutation(len(_FURTHER))[: looks.colours]:
        lean = np.float32(random.choice((-1.2, 1.2)))
        area = noise(random.uniform(18, 34)) + side * lean + grain * np.float32(0.5)
        _mix(colour, _ramp(area - np.float32(random.uniform(0.5, 1.1))) * np.float32(0.62), _FURTHER[index])
    return np.asarray(colour, np.float32)


def _structures(looks: Looks, colour: Field, depth: Field, noise: _Noise) -> None:
    """Blue-grey veil and pigment network, in place."""
    if looks.veil:
        area = _ramp(noise(30) + noise(8) * np.float32(0.3) - np.float32(0.2))
        _mix(colour, area * np.float32(0.75 * looks.veil), _VEIL)
    if not looks.network:
        return
    grain = 5 + 4 * looks.coarseness
    lines = np.maximum(_crest(noise(grain), 0.55), _crest(noise(grain), 0.55))
    patchy = np.clip(np.float32(0.9) + noise(25) * np.float32(0.9 * looks.coarseness), 0, 1.2)
    rim = np.clip(np.float32(1.2) - depth * np.float32(0.8), 0.2, 1.0)
    colour *= 1 - np.float32(0.36 * looks.network) * lines * patchy * rim


def _hairs(picture: Field, random: np.random.Generator) -> None:
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


class _Noise:
    """Smooth random fields of one size, mean 0 and deviation about 1."""

    def __init__(self, side: int, random: np.random.Generator) -> None:
        self.side, self.random = side, random

    def __call__(self, grain: float) -> Field:
        """A field [side, side] whose blobs are about `grain` pixels wide."""
        cells = max(2, round(self.side / grain))
        grid = self.random.standard_normal((cells, cells), np.float32)
        return np.asarray(cv2.resize(grid, (self.side, self.side), interpolation=cv2.INTER_CUBIC), np.float32)


def _mix(image: Field, weight: Field, tone: Field) -> None:
    """Moves `image` [3, h, w] towards the colour `tone` [3] by `weight` [h, w] in 0..1, in place."""
    for i, value in enumerate(tone):
        image[i] += weight * (value - image[i])


def _ramp(field: Field) -> Field:
    """Smooth step: 0 below -1, 1 above 1."""
    t = np.clip(field * np.float32(0.5) + np.float32(0.5), 0, 1)
    return np.asarray(t * t * (np.float32(3) - np.float32(2) * t), np.float32)


def _crest(field: Field, width: float) -> Field:
    """1 along the zero lines of a field, falling to 0 over `width` deviations: a net of lines."""
    return np.asarray(np.clip(np.float32(1) - np.abs(field) * np.float32(1 / width), 0, 1), np.float32)
