"""Pictures that are not dermoscopy, made from a seed: pages of text, noise, plain colours and gradients.

Plain colours and gradients take half of their colours from skin, which is what makes them hard. Real pictures come
from folders: see tests/benchmarks/bench_refuse.py.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Pixels = npt.NDArray[np.uint8]
SIZE = (450, 600)  # height and width of most public dermoscopic images
_TEXT = (
    "patient lesion report date left right border biopsy margin excision follow up month year clinic referral upper "
    "back arm leg melanoma benign naevus size colour of the and was seen with no change since 2019 12 mm 3.4 note"
)
_SKIN = np.array([[224, 177, 160], [198, 134, 126], [236, 203, 188], [160, 110, 90], [120, 72, 60], [205, 150, 165]])


def text_page(rng: np.random.Generator) -> Pixels:
    """A page of text: dark on light, or light on dark; sometimes tinted, turned, or unevenly lit as by a phone."""
    height, width = SIZE
    dark, light = rng.integers(0, 70, 3), rng.integers(200, 256, 3)
    if rng.random() < 0.5:
        dark, light = np.full(3, dark[0]), np.full(3, light[0])
    if rng.random() < 0.15:
        dark, light = light, dark
    page = Image.new("RGB", (width, height), tuple(int(one) for one in light))
    draw = ImageDraw.Draw(page)
    size = int(rng.integers(9, 40))
    font = ImageFont.load_default(size)
    top = int(rng.integers(0, 60))
    while top < height:
        line = " ".join(rng.choice(_TEXT.split(), int(rng.integers(1, 4 + 400 // size))))
        draw.text((int(rng.integers(5, 40)), top), line, tuple(int(one) for one in dark), font=font)
        top += int(size * rng.choice([1.2, 1.5, 2.4], p=[0.6, 0.3, 0.1]))
    if rng.random() < 0.4:
        page = page.rotate(float(rng.normal(0, 8)), fillcolor=tuple(int(one) for one in light))
    pixels = np.asarray(page, np.float64)
    if rng.random() < 0.5:
        pixels *= _ramp(rng)[..., None] * 0.5 + 0.5
    return _bytes(pixels)


def noise(rng: np.random.Generator) -> Pixels:
    """Noise: white, blurred to spots of some size, of few grey levels or sparse; in colour or grey."""
    height, width = SIZE
    cell = int(rng.choice([1, 1, 2, 4, 8, 16, 32, 64]))
    shape = (-(-height // cell), -(-width // cell), 3 if rng.random() < 0.6 else 1)
    kind = int(rng.integers(4))
    small = rng.random(shape)
    if kind == 1:
        small = np.clip(rng.normal(rng.random(), 0.05 + 0.2 * rng.random(), shape), 0, 1)
    elif kind == 2:
        small = np.round(small)
    elif kind == 3:
        small = np.where(rng.random(shape) < 0.05, small, rng.random(shape[2]))
    pixels = np.repeat(small, 3 // shape[2], axis=2)
    way = Image.Resampling.BICUBIC if rng.random() < 0.5 else Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(_bytes(255 * pixels)).resize((width, height), way))


def plain(rng: np.random.Generator) -> Pixels:
    """One colour, half of the time that of skin."""
    return np.broadcast_to(_bytes(_colour(rng)), (*SIZE, 3)).copy()


def gradient(rng: np.random.Generator) -> Pixels:
    """Two colours that pass into each other, along a line or from a point outwards; often without a vignette."""
    share = _ramp(rng) if rng.random() < 0.6 else _round_ramp(rng)
    return _bytes(_colour(rng) * share[..., None] + _colour(rng) * (1 - share[..., None]))


MAKERS: dict[str, Callable[[np.random.Generator], Pixels]] = {
    "text": text_page,
    "noise": noise,
    "plain colour": plain,
    "gradient": gradient,
}


def made(kind: str, count: int, seed: int = 0) -> list[Pixels]:
    """Pictures of one kind, uint8 [450, 600, 3]; the first of them are the same whatever the count."""
    return [MAKERS[kind](np.random.default_rng([seed, list(MAKERS).index(kind), i])) for i in range(count)]


def _colour(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    if rng.random() < 0.5:
        tone = _SKIN[rng.integers(len(_SKIN))]
        return np.asarray(np.clip(tone + rng.normal(0, 12, 3), 0, 255), np.float64)
    return rng.uniform(0, 255, 3)


def _grid() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    y, x = np.mgrid[0 : SIZE[0], 0 : SIZE[1]]
    return y / SIZE[0] - 0.5, x / SIZE[1] - 0.5


def _ramp(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    y, x = _grid()
    angle = rng.uniform(0, 2 * np.pi)
    along = x * np.cos(angle) + y * np.sin(angle)
    return np.asarray((along - along.min()) / np.ptp(along), np.float64)


def _round_ramp(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    y, x = _grid()
    far = np.hypot(x - rng.normal(0, 0.2), y - rng.normal(0, 0.2))
    return np.asarray(np.clip(far / rng.uniform(0.2, 0.8), 0, 1), np.float64)


def _bytes(pixels: npt.NDArray[np.float64]) -> Pixels:
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
