"""The strict check of image bytes, and decoding by the same rules.

Rules, the same ones the serving bundle keeps: JPEG and PNG with 8 bits per sample; grey becomes three equal
channels; CMYK, transparency, 16 bits and every other format are refused, because each has more than one
conversion to RGB and none is right for all; so is arithmetic coding, in which damage cannot be seen; EXIF
orientation of a JPEG is applied once, here. What follows the end of a JPEG's picture (gain maps, previews, movies) is
not part of it and is not looked at.

Damage is found where a PNG's checksums, a strict decoder or runs of zeros show it. JPEG has no checksum: damage that
decodes to another valid picture passes, most single flipped bits among it, and so do zeros among the raw bits with
which a progressive file refines the mean of its blocks (`jpeg.zeroed`).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import numpy as np
import simplejpeg

from components.common.imaging import png
from components.common.imaging.jpeg import PROGRESSIVE, JpegHeader, picture_end, read_header, zeroed
from components.common.imaging.kinds import UNKNOWN, RefusedError, foreign_content, format_of_name, real_format
from components.common.imaging.pixels import Image, perceptual_hash, upright
from components.common.imaging.thumbnail import SHORT_SIDE, make_thumbnail
from components.common.runtime.errors import DataError

# Raised whenever `inspect` may answer differently for the same bytes: cached answers are then not used.
INSPECTOR = 9
MAX_PIXELS = 100_000_000
MAX_BYTES = 256 * 2**20
MIN_SIDE = 16
MAX_ASPECT = 40  # what follows works at a fixed shorter side: a strip of 16 x 60,000 pixels would take gigabytes there
MAX_SCANS = 100  # a progressive JPEG of a few kilobytes can hold thousands and take minutes
_PNG_BYTES = 8  # per pixel: Pillow's four, three of the array, and what is copied at a time

Room = Callable[[int], AbstractContextManager[object]]


@dataclass(frozen=True, slots=True)
class Inspection:
    """The verdict on one file's bytes.

    Attributes:
        verdict: ok, corrupt, mislabelled (its name says another format) or unsupported.
        reason: what is wrong, empty if nothing is.
        format: jpeg, png, another known format, or unknown.
        width: pixels across after EXIF orientation; 0 where unknown.
        height: pixels down after EXIF orientation.
        channels: as stored: 1 grey, 3 colour, 4 CMYK; 0 where unknown.
        orientation: EXIF orientation as stored, 1..8.
        phash: perceptual hash, 16 hex digits; empty unless ok.
        thumbnail: a small JPEG of the upright image; empty unless ok.
    """

    verdict: str
    reason: str
    format: str
    width: int = 0
    height: int = 0
    channels: int = 0
    orientation: int = 1
    phash: str = ""
    thumbnail: bytes = b""


def inspect(data: bytes, name: str, room: Room = nullcontext) -> Inspection:
    """Checks a file completely: all compressed data is decoded, nothing is repaired.

    Args:
        data: the file's bytes.
        name: its name, which must have a suffix of its real format.
        room: asked for the bytes that decoding takes at most, besides `data`, and held while they are in use.
    """
    kind = real_format(data)
    facts = Inspection("ok", "", kind)
    try:
        _check_kind(data, kind, name)
        if kind == "jpeg":
            header = read_header(data)
            facts = _facts(kind, header.width, header.height, header.components, header.orientation)
            _check_jpeg(data, header)
            with room(_jpeg_bytes(header)):
                return _seen_jpeg(data, facts)
        picture = png.read_header(data)
        _check_size(picture.width, picture.height)
        facts = _facts(kind, picture.width, picture.height, picture.channels, 1)
        with room(_PNG_BYTES * picture.width * picture.height):
            return _seen(png.decode(data), facts)
    except RefusedError as refused:
        return replace(facts, verdict=refused.verdict, reason=refused.reason)


def _seen_jpeg(data: bytes, facts: Inspection) -> Inspection:
    # Every bit is decoded at any scale, so the smallest that shows enough finds the same damage: of 24,616
    # damaged files none was judged otherwise than by a full decode, which takes up to twice as long.
    return _seen(_strict(data, "RGB", min(facts.width, facts.height, SHORT_SIDE)), facts)


def _seen(rgb: Image, facts: Inspection) -> Inspection:
    """Adds the hash and thumbnail of decoded pixels as stored, which may be smaller than the image itself."""
    stored = (facts.width, facts.height) if facts.orientation >= 5 else (facts.height, facts.width)
    phash = f"{perceptual_hash(upright(rgb, facts.orientation)):016x}"
    return replace(facts, phash=phash, thumbnail=make_thumbnail(rgb, stored, facts.orientation))


def decode_rgb(data: bytes) -> Image:
    """Decodes a JPEG or PNG to upright RGB.

    Returns:
        uint8 [height, width, 3]; grey is replicated.

    Raises:
        DataError: damaged, or of a kind that is refused (see the rules above).
    """
    try:
        kind = real_format(data)
        _check_kind(data, kind, "")
        if kind == "jpeg":
            header = read_header(data)
            _check_jpeg(data, header)
            return upright(_strict(data, "RGB"), header.orientation)
        picture = png.read_header(data)
        _check_size(picture.width, picture.height)
        return png.decode(data)
    except RefusedError as refused:
        raise DataError(f"{refused}; expected an intact 8-bit JPEG or PNG") from refused


def _facts(kind: str, width: int, height: int, channels: int, orientation: int) -> Inspection:
    if orientation >= 5:
        width, height = height, width
    return Inspection("ok", "", kind, width, height, channels, orientation)


def _check_kind(data: bytes, kind: str, name: str) -> None:
    if not data:
        raise RefusedError("corrupt", "the file is empty")
    if len(data) > MAX_BYTES:
        raise RefusedError("unsupported", f"{len(data)} bytes; at most {MAX_BYTES} are read")
    if kind == UNKNOWN:
        raise RefusedError("corrupt", f"the content is {foreign_content(data) or 'not a known image format'}")
    named = format_of_name(name)
    if named not in (kind, UNKNOWN):
        raise RefusedError("mislabelled", f"the content is {kind}, the name says {named}")
    if kind not in ("jpeg", "png"):
        raise RefusedError("unsupported", f"format {kind}; JPEG and PNG are read")


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        most = MAX_PIXELS // 10**6
        raise RefusedError("unsupported", f"{width} x {height} pixels; at most {most} megapixels are decoded")
    if min(width, height) < MIN_SIDE:
        raise RefusedError("unsupported", f"{width} x {height} pixels; the shorter side must have {MIN_SIDE} or more")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise RefusedError("unsupported", f"{width} x {height} pixels; one side may be {MAX_ASPECT} times the other")


def _check_jpeg(data: bytes, header: JpegHeader) -> None:
    """Everything but the compressed data itself."""
    if header.components not in (1, 3):
        kind = " (CMYK)" if header.components == 4 else ""
        raise RefusedError("unsupported", f"{header.components} colour channels{kind}; grey and colour are read")
    if header.precision != 8:
        raise RefusedError("unsupported", f"{header.precision} bits per sample; 8 are read")
    if header.process > PROGRESSIVE:  # damage in arithmetic code cannot be seen; the rest no decoder here reads
        raise RefusedError("unsupported", f"{_coding(header.process)}; baseline and progressive JPEG are read")
    _check_size(header.width, header.height)
    scans = 1 if header.single_scan else data.count(b"\xff\xda", header.scan, picture_end(data, header))
    if scans > MAX_SCANS:
        raise RefusedError("unsupported", f"{scans} scans; at most {MAX_SCANS} are decoded")
    hole = zeroed(data, header)
    if hole >= 0:
        raise RefusedError("corrupt", f"zeros from byte {hole} on, inside the compressed data")


def _jpeg_bytes(header: JpegHeader) -> int:
    """What decoding for the hash takes at most: an eighth of the size, and with several scans all coefficients."""
    pixels = header.width * header.height
    return pixels // 8 + (0 if header.single_scan else 2 * header.components * pixels)


def _coding(process: int) -> str:
    if process > 8:
        return "arithmetic coding"
    return "lossless JPEG" if process in (3, 7) else "hierarchical JPEG"


def _strict(data: bytes, colours: str, side: int = 0) -> Image:
    try:
        return np.asarray(simplejpeg.decode_jpeg(data, colours, min_height=side, min_width=side, strict=True), np.uint8)
    except ValueError as error:
        raise RefusedError("corrupt", " ".join(str(error).split()) or "the compressed data is damaged") from error
