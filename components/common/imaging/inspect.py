"""Image bytes: the strict check, decoding, shrinking, encoding, and a perceptual hash.

Rules, the same ones the serving bundle keeps: JPEG and PNG with 8 bits a sample; grey becomes three equal
channels; CMYK, transparency, 16 bits and every other format are refused, because each has more than one
conversion to RGB and none is right for all; so is arithmetic coding, in which damage cannot be seen; EXIF
orientation of a JPEG is applied once, here.

Damage is found where a PNG's checksums, a strict decoder or runs of zeros show it. JPEG has no checksum: damage that
decodes to another valid picture passes, most single turned bits among it, and so do zeros among the raw bits with
which a progressive file refines the mean of its blocks (`progressive.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg

from components.common.imaging.jpeg import PROGRESSIVE, DamagedHeaderError, JpegHeader, read_header, zeroed
from components.common.imaging.png import SIGNATURE, DamagedPngError, PngHeader, check_pixels, read_png
from components.common.imaging.thumbnail import SHORT_SIDE, encode_thumbnail, thumbnail_pixels
from components.common.runtime.errors import DataError
from components.common.storage.store import suffix_of

Image = npt.NDArray[np.uint8]

# Raised whenever `inspect` may answer differently for the same bytes: cached answers are then not used.
INSPECTOR = 5
MAX_PIXELS = 100_000_000
MAX_BYTES = 256 * 2**20
MIN_SIDE = 16
MAX_ASPECT = 40  # what follows works at a fixed shorter side: a strip of 16 x 60,000 pixels would take gigabytes there
MAX_SCANS = 100  # a progressive JPEG of a few kilobytes can hold thousands and take minutes
_HASH = 8
_PNG_BYTES = 7  # a pixel; measured are 6 while OpenCV decodes
_STRIPE = 2**22  # pixels hashed at a time: as numbers they take four times the room

Room = Callable[[int], AbstractContextManager[object]]

_MAGIC = (
    (b"\xff\xd8\xff", 0, "jpeg"), (SIGNATURE, 0, "png"), (b"BM", 0, "bmp"), (b"GIF8", 0, "gif"),
    (b"II*\0", 0, "tiff"), (b"MM\0*", 0, "tiff"), (b"WEBP", 8, "webp"), (b"ftypheic", 4, "heic"),
    (b"ftypavif", 4, "avif"), (b"\0\0\0\x0cjP  ", 0, "jpeg2000"), (b"%PDF", 0, "pdf"), (b"PK\3\4", 0, "zip"),
)  # fmt: skip
_SUFFIXES = {".jpg": "jpeg", ".jpeg": "jpeg", ".png": "png", ".bmp": "bmp", ".gif": "gif", ".tif": "tiff",
             ".tiff": "tiff", ".webp": "webp"}  # fmt: skip


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


class _RefusedError(Exception):
    def __init__(self, verdict: str, reason: str) -> None:
        super().__init__(reason)
        self.verdict, self.reason = verdict, reason


def real_format(data: bytes) -> str:
    """The format by content: jpeg, png, bmp, ... or unknown."""
    return next((name for magic, at, name in _MAGIC if data.startswith(magic, at)), "unknown")


def inspect(data: bytes, name: str, room: Room = nullcontext) -> Inspection:
    """Checks a file completely: all compressed data is decoded, nothing is repaired.

    Args:
        data: the file's bytes.
        name: its name, which must have the suffix of its real format.
        room: asked for the bytes that decoding takes at most, besides `data`, and held while they are in use.
    """
    kind = real_format(data)
    facts = Inspection("ok", "", kind)
    try:
        _check_kind(data, kind, name)
        if kind == "jpeg":
            header = _jpeg_header(data)
            facts = _facts(kind, header.width, header.height, header.components, header.orientation)
            _check_jpeg(data, header)
            need = _jpeg_bytes(header)
        else:
            picture = _png_header(data)
            facts = _facts(kind, picture.width, picture.height, picture.channels, picture.orientation)
            _check_png(picture)
            need = _PNG_BYTES * picture.width * picture.height
        with room(need):
            return _seen(data, facts)
    except _RefusedError as refused:
        return replace(facts, verdict=refused.verdict, reason=refused.reason)


def _seen(data: bytes, facts: Inspection) -> Inspection:
    """The hash and thumbnail of a file that is sound so far; its pixels are gone when this returns."""
    stored = (facts.width, facts.height) if facts.orientation >= 5 else (facts.height, facts.width)
    # Every bit is decoded at any scale, so the smallest that shows enough finds the same damage: of 24,616
    # damaged files none was judged otherwise than by a full decode, which takes up to twice as long.
    rgb = _decode_png(data) if facts.format == "png" else _strict(data, "RGB", min(*stored, SHORT_SIDE))
    small = upright(thumbnail_pixels(rgb, stored), facts.orientation)
    rgb = upright(rgb, facts.orientation)
    return Inspection(
        "ok", "", facts.format, facts.width, facts.height, facts.channels, facts.orientation,
        f"{perceptual_hash(rgb):016x}", encode_thumbnail(small),
    )  # fmt: skip


def decode_rgb(data: bytes) -> Image:
    """Decodes a JPEG or PNG to upright RGB.

    Returns:
        uint8 [height, width, 3]; grey is replicated.

    Raises:
        DataError: damaged, or of a kind that is refused (see the rules above).
    """
    try:
        kind = real_format(data)
        if kind == "jpeg":
            header = _jpeg_header(data)
            _check_jpeg(data, header)
            return upright(_strict(data, "RGB"), header.orientation)
        _check_kind(data, kind, "")
        picture = _png_header(data)
        _check_png(picture)
        return _decode_png(data)
    except _RefusedError as refused:
        raise DataError(f"{refused.verdict} image: {refused.reason}; expected a whole 8-bit JPEG or PNG") from None


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
    """64 signs of the lowest cosine frequencies: alike images differ in few bits.

    Bit 8 v + u (from the highest) is frequency v down and u across, so that mirroring and turning the
    image only permute or flip bits; see `turned_hashes`.
    """
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY) if rgb.ndim == 3 else rgb
    height, width = grey.shape
    down, step = _cosines(height), max(64, _STRIPE // height)
    if width <= step:
        rows = down @ grey.astype(np.float32)
    else:
        rows = np.hstack([down @ grey[:, at : at + step].astype(np.float32) for at in range(0, width, step)])
    waves = rows @ _cosines(width).T
    return int.from_bytes(np.packbits(waves > 0).tobytes(), "big")


def turned_hashes(value: int) -> list[int]:
    """Hashes of the image in its eight orientations (EXIF order: 1 as is, 2 mirrored, ...), without the image."""
    bits = np.array([(value >> (63 - i)) & 1 for i in range(64)], bool).reshape(_HASH, _HASH)
    odd = np.arange(1, _HASH + 1) % 2 == 1  # frequencies 1..8: odd ones change sign when mirrored
    found = []
    for orientation in range(1, 9):
        turned = bits.T if orientation >= 5 else bits
        if orientation in (3, 4, 7, 8):
            turned = turned ^ odd[:, None]
        if orientation in (2, 3, 6, 7):
            turned = turned ^ odd[None, :]
        found.append(int("".join("1" if bit else "0" for bit in turned.ravel()), 2))
    return found


def _facts(kind: str, width: int, height: int, channels: int, orientation: int) -> Inspection:
    if orientation >= 5:
        width, height = height, width
    return Inspection("ok", "", kind, width, height, channels, orientation)


def _check_kind(data: bytes, kind: str, name: str) -> None:
    if not data:
        raise _RefusedError("corrupt", "the file is empty")
    if len(data) > MAX_BYTES:
        raise _RefusedError("unsupported", f"{len(data)} bytes; at most {MAX_BYTES} are read")
    named = _SUFFIXES.get(suffix_of(name), kind)
    if kind == "unknown":
        zeros = "only zeros" if not data.strip(b"\0") else "no known image format"
        raise _RefusedError("corrupt", f"the content is {zeros}")
    if kind != named:
        raise _RefusedError("mislabelled", f"the content is {kind}, the name says {named}")
    if kind not in ("jpeg", "png"):
        raise _RefusedError("unsupported", f"format {kind}; JPEG and PNG are read")


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        most = MAX_PIXELS // 10**6
        raise _RefusedError("unsupported", f"{width} x {height} pixels; at most {most} megapixels are decoded")
    if min(width, height) < MIN_SIDE:
        raise _RefusedError("unsupported", f"{width} x {height} pixels; the shorter side must have {MIN_SIDE} or more")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise _RefusedError("unsupported", f"{width} x {height} pixels; one side may be {MAX_ASPECT} times the other")


def _jpeg_header(data: bytes) -> JpegHeader:
    try:
        return read_header(data)
    except DamagedHeaderError as error:
        raise _RefusedError("corrupt", str(error)) from None


def _check_jpeg(data: bytes, header: JpegHeader) -> None:
    """Everything but the compressed data itself."""
    if header.components not in (1, 3):
        kind = " (CMYK)" if header.components == 4 else ""
        raise _RefusedError("unsupported", f"{header.components} colour channels{kind}; grey and colour are read")
    if header.precision != 8:
        raise _RefusedError("unsupported", f"{header.precision} bits a sample; 8 are read")
    if header.process > PROGRESSIVE:  # damage in arithmetic code cannot be seen; the rest no decoder here reads
        raise _RefusedError("unsupported", f"{_coding(header.process)}; baseline and progressive JPEG are read")
    _check_size(header.width, header.height)
    scans = 1 if header.single_scan else data.count(b"\xff\xda", header.scan)
    if scans > MAX_SCANS:
        raise _RefusedError("unsupported", f"{scans} scans; at most {MAX_SCANS} are decoded")
    hole = zeroed(data, header)
    if hole >= 0:
        raise _RefusedError("corrupt", f"zeros from byte {hole} on, inside the compressed data")


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
        raise _RefusedError("corrupt", " ".join(str(error).split()) or "the compressed data is damaged") from None


def _png_header(data: bytes) -> PngHeader:
    try:
        return read_png(data)
    except DamagedPngError as error:
        raise _RefusedError("corrupt", str(error)) from None


def _check_png(header: PngHeader) -> None:
    if header.depth == 16:
        raise _RefusedError("unsupported", "16 bits a sample; 8 are read")
    if header.transparent:
        raise _RefusedError("unsupported", "it can hold transparent pixels; save it without an alpha channel")
    if header.orientation != 1:
        raise _RefusedError("unsupported", f"a PNG with EXIF orientation {header.orientation}; save it upright")
    _check_size(header.width, header.height)
    try:
        check_pixels(header)
    except DamagedPngError as error:
        raise _RefusedError("corrupt", str(error)) from None


def _decode_png(data: bytes) -> Image:
    rgb = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
    if rgb is None:
        raise _RefusedError("corrupt", "the decoder refuses it")
    return np.asarray(rgb, np.uint8)


@lru_cache(maxsize=64)
def _cosines(size: int) -> npt.NDArray[np.float32]:
    """Rows 1..8 of the type-II cosine basis over `size` places."""
    frequency, place = np.arange(1, _HASH + 1)[:, None], np.arange(size)[None, :]
    return np.cos(np.pi * frequency * (2 * place + 1) / (2 * size)).astype(np.float32)
