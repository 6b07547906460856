"""The thumbnail every index row carries: what near-duplicates are found by, and what people see of them."""

from __future__ import annotations

import cv2
import numpy as np
import simplejpeg

from components.common.imaging.pixels import Image, upright

SHORT_SIDE = 48
_QUALITY = 90


def make_thumbnail(rgb: Image, shape: tuple[int, int] | None = None, orientation: int = 1) -> bytes:
    """A small JPEG (about 1.4 kB) of an image: 48 pixels on its short side, or all there are; upright.

    Args:
        rgb: `[h, w, 3]` as stored, or decoded at n eighths of its size; a decoder then rounds the sides up.
        shape: height and width of the image itself, whose aspect and exact extent the thumbnail keeps; by default
            those of `rgb`.
        orientation: EXIF orientation, 1 to 8.
    """
    height, width = shape or rgb.shape[:2]
    pixels = upright(_shrunk(rgb, (height, width)), orientation)
    return bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), _QUALITY, "RGB", "420"))


def _shrunk(rgb: Image, shape: tuple[int, int]) -> Image:
    height, width = shape
    short = min(height, width)
    if short <= SHORT_SIDE:
        return rgb
    size = (round(width * SHORT_SIDE / short), round(height * SHORT_SIDE / short))
    if min(rgb.shape[:2]) > 2 * SHORT_SIDE:
        return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
    # To half the size linear weights reach every pixel, at a quarter of the time of averaging areas. The picture
    # ends inside the last row and column: stretched with them, a copy turned by 180 degrees would lie elsewhere.
    eighths = _eighths(rgb.shape[:2], shape)
    across, down = width * eighths / 8 / size[0], height * eighths / 8 / size[1]
    onto = np.array([[across, 0, (across - 1) / 2], [0, down, (down - 1) / 2]], np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(rgb, onto, size, flags=flags, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _eighths(decoded: tuple[int, ...], shape: tuple[int, int]) -> float:
    """At how many eighths of `shape` an image was decoded (libjpeg scales by n/8 and rounds up)."""
    return next(
        (n for n in range(1, 9) if all(-(-side * n // 8) == got for side, got in zip(shape, decoded, strict=True))),
        8 * min(decoded) / min(shape),
    )


def read_thumbnail(data: bytes) -> Image:
    """The pixels `[h, w, 3]` of a thumbnail."""
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), np.uint8)[..., ::-1]
