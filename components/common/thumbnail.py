"""The thumbnail every index row carries: what near-duplicates are found by, and what people see of them."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

SHORT_SIDE = 48
_QUALITY = 90

Pixels = npt.NDArray[np.uint8]


def make_thumbnail(rgb: Pixels) -> bytes:
    """A small JPEG (about 1.4 kB) of an image `[H, W, 3]`: 48 pixels on its short side, antialiased."""
    height, width = rgb.shape[:2]
    short = min(height, width)
    if short > SHORT_SIDE:
        size = (round(width * SHORT_SIDE / short), round(height * SHORT_SIDE / short))
        rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    return bytes(cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1])


def read_thumbnail(data: bytes) -> Pixels:
    """The pixels `[h, w, 3]` of a thumbnail."""
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), np.uint8)[..., ::-1]
