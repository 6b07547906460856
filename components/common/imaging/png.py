"""Strict check of PNG files: every chunk's CRC, the compressed pixels complete, nothing that must be guessed.

Decoders repair: OpenCV returns a half-black image for a truncated PNG without a word.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field

from components.common.imaging.jpeg import exif_orientation

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # samples stored per pixel, by colour type
_MOST_SIDE = 2**31 - 1  # of an image, by the format
_STEP = 2**16  # compressed bytes handed to zlib at once, and at most four times as many back: memory stays flat
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


class DamagedPngError(Exception):
    """The file breaks the PNG format; the text says where."""


@dataclass(frozen=True, slots=True)
class PngHeader:
    """What a PNG says about itself.

    Attributes:
        width: pixels.
        height: pixels.
        depth: bits a sample.
        colour: colour type: 0 grey, 2 RGB, 3 palette, 4 grey with alpha, 6 RGB with alpha.
        interlaced: whether it is stored in seven passes.
        transparent: whether it can hold transparent pixels.
        orientation: EXIF orientation, 1 where there is none.
        pixels: the compressed pixel data, in pieces of the file's bytes.
    """

    width: int
    height: int
    depth: int
    colour: int
    interlaced: bool
    transparent: bool
    orientation: int
    pixels: list[memoryview] = field(repr=False)

    @property
    def channels(self) -> int:
        """1 for grey, 3 for colour."""
        return 1 if self.colour in (0, 4) else 3


def read_png(data: bytes) -> PngHeader:
    """Reads all chunks and checks their CRCs; decompresses nothing.

    Raises:
        DamagedPngError: a chunk is cut, its CRC is wrong, or the first or last chunk is not what it must be.
    """
    at, kind, head, pixels, transparent, orientation = len(SIGNATURE), b"", None, [], False, 1
    whole = memoryview(data)
    while at < len(data):
        if at + 12 > len(data):
            raise DamagedPngError(f"the chunk at byte {at} is cut off")
        length, kind = struct.unpack_from(">I4s", data, at)
        body = whole[at + 8 : at + 8 + length]
        check = whole[at + 8 + length : at + 12 + length]
        if len(check) < 4:
            raise DamagedPngError(f"the chunk at byte {at} needs {length} bytes and the file ends before")
        if zlib.crc32(body, zlib.crc32(kind)) != int.from_bytes(check, "big"):
            raise DamagedPngError(f"the chunk at byte {at} has a wrong CRC")
        if head is None:
            head = _head(kind, body)
        elif kind == b"IDAT":
            pixels.append(body)
        elif kind == b"tRNS":
            transparent = True
        elif kind == b"eXIf":
            orientation = exif_orientation(bytes(body))
        at += 12 + length
        if kind == b"IEND":
            break
    if head is None or kind != b"IEND" or not pixels:
        raise DamagedPngError("the file ends before its last chunk")
    width, height, depth, colour, interlaced = head
    return PngHeader(width, height, depth, colour, interlaced, transparent or colour >= 4, orientation, pixels)


def check_pixels(header: PngHeader) -> None:
    """Decompresses the pixels, never more than the header announces, and checks their length.

    Raises:
        DamagedPngError: too few or too many bytes, or the compressed stream is damaged.
    """
    expected = _raw_size(header)
    stream, received = zlib.decompressobj(), 0
    try:
        for part in (piece[at : at + _STEP] for piece in header.pixels for at in range(0, len(piece), _STEP)):
            received += _inflated(stream, part, expected + 1 - received)
            if stream.eof or received > expected:
                break
    except zlib.error as error:
        raise DamagedPngError(f"the compressed pixels are damaged ({error})") from None
    if received != expected or not stream.eof:
        raise DamagedPngError(f"the compressed pixels give {received} bytes, {expected} are needed")


def _inflated(stream: zlib._Decompress, part: memoryview, most: int) -> int:
    """How many bytes, up to `most`, come out of the next part of a compressed stream."""
    received, waiting = 0, part
    while received < most:
        step = min(most - received, 4 * _STEP)
        count = len(stream.decompress(waiting, step))
        received, waiting = received + count, memoryview(stream.unconsumed_tail)
        if stream.eof or (not waiting and count < step):
            break
    return received


def _head(kind: bytes, body: memoryview) -> tuple[int, int, int, int, bool]:
    if kind != b"IHDR" or len(body) != 13:
        raise DamagedPngError("the first chunk is not an image header")
    width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", body)
    known = colour in _CHANNELS and depth in (1, 2, 4, 8, 16) and interlace <= 1
    if not known or not 0 < width <= _MOST_SIDE or not 0 < height <= _MOST_SIDE:
        raise DamagedPngError(f"the image header says {width} x {height}, colour type {colour}, {depth} bits")
    return width, height, depth, colour, bool(interlace)


def _raw_size(header: PngHeader) -> int:
    def size(width: int, height: int) -> int:
        bits = width * header.depth * _CHANNELS[header.colour]
        return height * (1 + (bits + 7) // 8) if width and height else 0

    if not header.interlaced:
        return size(header.width, header.height)
    return sum(size(_count(header.width, x, dx), _count(header.height, y, dy)) for x, y, dx, dy in _ADAM7)


def _count(total: int, first: int, step: int) -> int:
    return max(0, -(-(total - first) // step))
