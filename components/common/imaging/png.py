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
import numpy.typing as npt
from PIL.PngImagePlugin import PngImageFile

from components.common.imaging.jpeg import exif_orientation

_HEAD = struct.Struct(">8xI4sIIBBBBBI")
_LAST_CHUNK = b"\0\0\0\0IEND\xaeB`\x82"
_ALPHA = 4  # colour types from here on have an alpha channel
_COLOUR_TYPES = (0, 2, 3, 4, 6)
_BAND = 2**20  # pixels copied at a time out of Pillow, which makes two copies on the way


class DamagedPngError(Exception):
    """The file breaks the PNG format; the text says where."""


@dataclass(frozen=True, slots=True)
class PngHeader:
    """The image header chunk.

    Attributes:
        width: pixels.
        height: pixels.
        depth: bits per sample.
        colour: colour type: 0 grey, 2 RGB, 3 palette, 4 grey with alpha, 6 RGB with alpha.
    """

    width: int
    height: int
    depth: int
    colour: int

    @property
    def channels(self) -> int:
        """1 for grey, 3 for colour."""
        return 1 if self.colour in (0, 4) else 3

    @property
    def alpha(self) -> bool:
        """Whether there is an alpha channel."""
        return self.colour >= _ALPHA


@dataclass(frozen=True, slots=True)
class PngPicture:
    """A decoded file.

    Attributes:
        rgb: uint8 [height, width, 3].
        transparent: whether one colour, or entries of the palette, are marked as transparent.
        orientation: EXIF orientation, 1 where there is none.
    """

    rgb: npt.NDArray[np.uint8]
    transparent: bool
    orientation: int


def read_header(data: bytes) -> PngHeader:
    """Reads the first chunk.

    Raises:
        DamagedPngError: it is not an intact image header, or says what the format does not have.
    """
    if len(data) < _HEAD.size:
        raise DamagedPngError("the file ends inside its first chunk")
    length, kind, width, height, depth, colour, *_, crc = _HEAD.unpack_from(data)
    if kind != b"IHDR" or length != 13:
        raise DamagedPngError("the first chunk is not an image header")
    if zlib.crc32(data[12:29]) != crc:
        raise DamagedPngError("the image header has a wrong CRC")
    if not 0 < width < 2**31 or not 0 < height < 2**31 or depth not in (1, 2, 4, 8, 16) or colour not in _COLOUR_TYPES:
        raise DamagedPngError(f"the image header says {width} x {height}, colour type {colour}, {depth} bits")
    return PngHeader(width, height, depth, colour)


def decode(data: bytes) -> PngPicture:
    """Checks all chunks and decodes all pixels; needs 7 bytes per pixel.

    Raises:
        DamagedPngError: a chunk is cut or has a wrong CRC, or the compressed pixels are damaged or incomplete.
    """
    if _LAST_CHUNK not in data:  # Pillow does not look at the length and CRC of this one
        raise DamagedPngError("the file ends before its last chunk")
    try:
        with PngImageFile(io.BytesIO(data)) as image:  # not Image.open, whose limit on the size only warns
            image.verify()
        with PngImageFile(io.BytesIO(data)) as image:
            image.load()
            transparent = "transparency" in image.info
            orientation = exif_orientation(image.info.get("exif", b"")[6:])
            return PngPicture(_pixels(image), transparent, orientation)
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, AttributeError, TypeError) as error:
        raise DamagedPngError(" ".join(str(error).split()) or "the decoder refuses it") from error


def _pixels(image: PngImageFile) -> npt.NDArray[np.uint8]:
    width, height = image.size
    rgb = np.empty((height, width, 3), np.uint8)
    step = max(1, _BAND // width)
    for top in range(0, height, step):
        band = image.crop((0, top, width, min(top + step, height)))
        rgb[top : top + step] = np.asarray(band if band.mode == "RGB" else band.convert("RGB"))
    return rgb
