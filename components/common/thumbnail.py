"""The thumbnail every index row carries: what near-duplicates are found by, and what people see of them."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg

SHORT_SIDE = 48
_QUALITY = 90

Pixels = npt.NDArray[np.uint8]


def make_thumbnail(rgb: Pixels, shape: tuple[int, int] | None = None) -> bytes:
    """A small JPEG (about 1.4 kB) of an image `[h, w, 3]`: 48 pixels on its short side.

    Args:
        rgb: the image, possibly decoded at a reduced scale, which rounds its sides.
        shape: height and width of the image itself, whose aspect the thumbnail keeps; those of `rgb` by default.
    """
    height, width = shape or rgb.shape[:2]
    short = min(height, width)
    if short > SHORT_SIDE:
        size = (round(width * SHORT_SIDE / short), round(height * SHORT_SIDE / short))
        # to half the size linear weights reach every pixel, at a quarter of the time of averaging areas
        shrinking = cv2.INTER_AREA if min(rgb.shape[:2]) > 2 * SHORT_SIDE else cv2.INTER_LINEAR
        rgb = np.asarray(cv2.resize(rgb, size, interpolation=shrinking), np.uint8)
    return bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(rgb), _QUALITY, "RGB", "420"))


def read_thumbnail(data: bytes) -> Pixels:
    """The pixels `[h, w, 3]` of a thumbnail."""
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), np.uint8)[..., ::-1]
