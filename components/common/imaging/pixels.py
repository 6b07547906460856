"""What is done to decoded pixels: turning upright, shrinking, encoding, and a perceptual hash."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg

Image = npt.NDArray[np.uint8]

_HASH = 8
_STRIPE = 2**22  # pixels hashed at a time: as float32 they take four times the memory


def upright(image: Image, orientation: int) -> Image:
    """Applies EXIF orientation 1..8 to [h, w] or [h, w, c]: 5 to 8 are stored transposed, the rest is mirroring."""
    if orientation >= 5:
        image = image.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return np.ascontiguousarray(image)


def shrunk_size(height: int, width: int, short_side: int) -> tuple[int, int]:
    """Height and width after an aspect-keeping shrink of the shorter side; halves round up; never enlarges."""
    short = min(height, width)
    if short <= short_side:
        return height, width
    return (2 * height * short_side + short) // (2 * short), (2 * width * short_side + short) // (2 * short)


def shrink(rgb: Image, short_side: int) -> Image:
    """Antialiased (area) shrink so that the shorter side is `short_side`; smaller images stay as they are."""
    height, width = shrunk_size(rgb.shape[0], rgb.shape[1], short_side)
    if (height, width) == rgb.shape[:2]:
        return rgb
    return np.asarray(cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def encode_jpeg(rgb: Image, quality: int) -> bytes:
    """Baseline JPEG, colour at half resolution (4:2:0) below quality 95 and in full from there on."""
    sampling = "444" if quality >= 95 else "420"
    return bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(rgb), quality, "RGB", sampling))


def perceptual_hash(rgb: Image) -> int:
    """64 signs of the lowest cosine frequencies: similar images differ in few bits.

    Bit 8 v + u (from the highest) is frequency v down and u across, so that mirroring and turning the
    image only permute or flip bits.
    """
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY) if rgb.ndim == 3 else rgb
    height, width = grey.shape
    down, step = cosines(height, _HASH), max(64, _STRIPE // height)
    if width <= step:
        rows = down @ grey.astype(np.float32)
    else:
        rows = np.hstack([down @ grey[:, at : at + step].astype(np.float32) for at in range(0, width, step)])
    waves = rows @ cosines(width, _HASH).T
    return int.from_bytes(np.packbits(waves > 0).tobytes(), "big")


@lru_cache(maxsize=256)
def cosines(size: int, count: int) -> npt.NDArray[np.float32]:
    """Rows 1 to `count` of the type-II cosine basis over `size` positions."""
    frequency, place = np.arange(1, count + 1)[:, None], np.arange(size)[None, :]
    return np.cos(np.pi * frequency * (2 * place + 1) / (2 * size)).astype(np.float32)
