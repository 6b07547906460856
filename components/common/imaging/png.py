"""PNG files: the header by hand, so that the announced size is known before anything is decoded; the rest by Pillow.

Pillow's `verify()` checks the CRC of every chunk and `load()` decodes all pixels. Neither alone is enough, and OpenCV
returns a half-black image for a truncated file without an error.
"""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass

import numpy as np
from PIL.PngImagePlugin import PngImageFile

from components.common.imaging.jpeg import exif_orientation
from components.common.imaging.kinds import RefusedError
from components.common.imaging.pixels import Image

_HEAD = struct.Struct(">8xI4sIIBBBBBI")
_LAST_CHUNK = b"\0\0\0\0IEND\xaeB`\x82"
_TRANSPARENT = "it can hold transparent pixels; save it without an alpha channel"
_ALPHA = 4  # colour types from here on have an alpha channel
_COLOUR_TYPES = (0, 2, 3, 4, 6)
_BAND = 2**20  # pixels copied at a time out of Pillow, which makes two copies on the way


@dataclass(frozen=True, slots=True)
class PngHeader:
    """The image header chunk.

    Attributes:
        width: pixels.
        height: pixels.
        channels: 1 for grey, 3 for colour.
    """

    width: int
    height: int
    channels: int


def read_header(data: bytes) -> PngHeader:
    """Reads the first chunk.

    Raises:
        RefusedError: it is not an intact image header, says what the format does not have, or announces 16 bits
            per sample or an alpha channel.
    """
    if len(data) < _HEAD.size:
        raise RefusedError("corrupt", "the file ends inside its first chunk")
    length, kind, width, height, depth, colour, *_, crc = _HEAD.unpack_from(data)
    if kind != b"IHDR" or length != 13:
        raise RefusedError("corrupt", "the first chunk is not an image header")
    if zlib.crc32(data[12:29]) != crc:
        raise RefusedError("corrupt", "the image header has a wrong CRC")
    if not 0 < width < 2**31 or not 0 < height < 2**31 or depth not in (1, 2, 4, 8, 16) or colour not in _COLOUR_TYPES:
        raise RefusedError("corrupt", f"the image header says {width} x {height}, colour type {colour}, {depth} bits")
    if depth == 16:
        raise RefusedError("unsupported", "16 bits per sample; 8 are read")
    if colour >= _ALPHA:
        raise RefusedError("unsupported", _TRANSPARENT)
    return PngHeader(width, height, 3 if colour else 1)


def decode(data: bytes) -> Image:
    """Checks all chunks and decodes all pixels to uint8 [height, width, 3]; needs 7 bytes per pixel.

    Raises:
        RefusedError: a chunk is cut or has a wrong CRC, the compressed pixels are damaged or incomplete, one colour
            or entries of the palette are marked as transparent, or EXIF says that the picture is to be turned.
    """
    if _LAST_CHUNK not in data:  # Pillow does not look at the length and CRC of this one
        raise RefusedError("corrupt", "the file ends before its last chunk")
    try:
        with PngImageFile(io.BytesIO(data)) as image:  # not Image.open, whose limit on the size only warns
            image.verify()
        with PngImageFile(io.BytesIO(data)) as image:
            image.load()
            if "transparency" in image.info:
                raise RefusedError("unsupported", _TRANSPARENT)
            turned = exif_orientation(image.info.get("exif", b"")[6:])
            if turned != 1:
                raise RefusedError("unsupported", f"a PNG with EXIF orientation {turned}; save it upright")
            return _pixels(image)
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, AttributeError, TypeError) as error:
        raise RefusedError("corrupt", " ".join(str(error).split()) or "the decoder refuses it") from error


def _pixels(image: PngImageFile) -> Image:
    width, height = image.size
    rgb = np.empty((height, width, 3), np.uint8)
    step = max(1, _BAND // width)
    for top in range(0, height, step):
        band = image.crop((0, top, width, min(top + step, height)))
        rgb[top : top + step] = np.asarray(band if band.mode == "RGB" else band.convert("RGB"))
    return rgb
