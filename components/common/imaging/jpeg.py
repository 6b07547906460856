"""What a JPEG file says about itself before anything is decoded: frame, orientation, damage by zeros.

Reads marker segments as in ITU-T T.81 annex B and the EXIF orientation as in JEITA CP-3451 section 4.5.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from components.common.imaging.kinds import RefusedError

PROGRESSIVE = 2
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0..SOF15 without DHT, JPG and DAC
_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})  # TEM and restart markers have no length
_DHT, _SCAN, _END, _APP1 = 0xC4, 0xDA, 0xD9, 0xE1
_ORIENTATION = 0x0112
_INTEGERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i"}  # TIFF's integer types: how struct reads the value
# Longest run of zero bytes in compressed data; a zeroed disk sector is 512 bytes.
_ZEROS = bytes(256)
_STRIDE = len(_ZEROS) // 2  # every such run holds two neighbours of a sample taken at this distance
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # ends a scan's data; stuffed bytes and restarts do not


@dataclass(frozen=True, slots=True)
class JpegHeader:
    """The part of a JPEG file in front of its first scan.

    Attributes:
        width: pixels as stored, before orientation.
        height: pixels as stored.
        components: colour channels: 1 grey, 3 colour, 4 CMYK.
        precision: bits per sample.
        orientation: EXIF orientation 1..8; 1 where there is none.
        scan: offset of the first scan.
        flat: whether the code tables let a flat area be stored as a run of zero bits.
        process: how it is coded: 0 baseline, 1 extended, 2 progressive; 3 lossless, from 9 on arithmetic.
        single_scan: whether the first scan holds everything and no decoder reads another.
    """

    width: int
    height: int
    components: int
    precision: int
    orientation: int
    scan: int
    flat: bool
    process: int
    single_scan: bool


def read_header(data: bytes) -> JpegHeader:
    """Reads the segments up to the first scan.

    Raises:
        RefusedError: a segment runs past the end, or there is no frame or no scan.
    """
    at, orientation, frame, first_codes, process = 2, 0, None, [], 0
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            raise RefusedError("corrupt", f"expected a marker at byte {at}")
        marker = data[at + 1]
        if marker == 0xFF or marker in _ALONE:  # fill byte, or a marker without content
            at += 1 if marker == 0xFF else 2
            continue
        if marker in (_SCAN, _END):
            break
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if length < 2 or at + 2 + length > len(data):
            raise RefusedError("corrupt", f"the segment at byte {at} does not fit into {len(data)} bytes")
        body = data[at + 4 : at + 2 + length]
        if marker in _FRAMES and frame is None:
            frame, process = _frame(body, at), marker - 0xC0
        elif marker == _DHT:
            first_codes += [symbol for _, symbol in _code_tables(body)]
        elif marker == _APP1 and not orientation and body.startswith(b"Exif\0\0"):
            orientation = exif_orientation(body[6:])
        at += 2 + length
    if frame is None or at + 4 > len(data) or data[at + 1] != _SCAN:
        raise RefusedError("corrupt", "the file ends before its image data")
    flat = process > 1 or not any(first_codes)
    precision, height, width, components = frame
    single = process <= 1 and data[at + 4 : at + 5] == bytes([components])  # the scan's own number of components
    return JpegHeader(width, height, components, precision, orientation or 1, at, flat, process, single)


def picture_end(data: bytes, header: JpegHeader) -> int:
    """Offset of the picture's end marker, or the size of the file where it has none.

    Inside compressed data a byte 0xFF is always followed by a stuffed zero or a restart marker, so the first end
    marker after the first scan is the picture's. The last one in the file may belong to something appended.
    """
    end = data.find(b"\xff\xd9", header.scan)
    return end if end >= 0 else len(data)


def zeroed(data: bytes, header: JpegHeader) -> int:
    """Offset of a run of zero bytes that no encoder writes, -1 if there is none.

    The decoder accepts about one in 150 zeroed sectors: where zero bits happen to be valid codes. They
    are plausible only if, in every code table of the file, the shortest code means "nothing new here".
    """
    if header.process == PROGRESSIVE:
        return _zeroed_scan(data, header.scan)
    end = picture_end(data, header)
    if header.flat or b"\0\0" not in data[header.scan : end : _STRIDE]:
        return -1
    return data.find(_ZEROS, header.scan, end)


def _zeroed_scan(data: bytes, first_scan: int) -> int:
    """Offset of a run of zeros inside a scan that no encoder writes there, -1 if there is none.

    A progressive file has many scans (ITU-T T.81 annex G). Passes that refine coefficients decode almost any
    bits to the end: of 512-byte sectors zeroed in such files libjpeg accepts three in ten. Zeros are implausible
    where, in the table the scan uses, the all-zero code means a new coefficient and not "nothing new here".
    The one pass without codes refines the mean of each block by raw bits; there zeros cannot be told from a
    dark margin, and change brightness by one quantisation step at most.

    Args:
        data: a progressive JPEG file that its decoder accepts.
        first_scan: offset of the first scan's marker.
    """
    if data.find(_ZEROS, first_scan) < 0:
        return -1
    codes: dict[int, int] = {}  # symbol of the all-zero code, by class and number of the table
    at = 2
    try:
        while data[at + 1] != _END:
            marker, end = data[at + 1], at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
            if marker == _DHT:
                codes.update(_code_tables(data[at + 4 : end]))
            elif marker == _SCAN:
                following = _MARKER.search(data, end)
                stop = following.start() if following else len(data)
                hole = data.find(_ZEROS, end, stop) if _has_codes_for_more(data, at + 4, codes) else -1
                if hole >= 0:
                    return hole
                end = stop
            at = end
    except IndexError:  # nothing behind the last scan; what is wrong before it the decoder says
        return -1
    return -1


def _code_tables(body: bytes) -> Iterator[tuple[int, int]]:
    """Class and number of each Huffman table in the body of a DHT segment, and the symbol of its all-zero code."""
    at = 0
    while at + 17 < len(body):
        yield body[at], body[at + 17]
        at += 17 + sum(body[at + 1 : at + 17])


def _has_codes_for_more(data: bytes, at: int, codes: dict[int, int]) -> bool:
    """Whether zero bits of the scan whose header begins at `at` would mean new coefficients."""
    count = data[at]
    start, refined = data[at + 1 + 2 * count], data[at + 3 + 2 * count] >> 4
    if start == 0 and refined:  # raw bits
        return False
    chosen = [data[at + 2 + 2 * i] for i in range(count)]
    tables = [one >> 4 if start == 0 else 0x10 | (one & 15) for one in chosen]
    return any(codes.get(table, 0) & 15 for table in tables)


def exif_orientation(tiff: bytes) -> int:
    """Orientation 1..8 in the first directory of a TIFF block; 1 where it is absent or damaged.

    The standard's type is SHORT; BYTE, LONG and the signed types are written as well and read alike.
    """
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    try:
        (offset,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, offset)
        for at in range(offset + 2, offset + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(order + "HH", tiff, at)
            if tag == _ORIENTATION:
                if kind not in _INTEGERS:
                    return 1
                (value,) = struct.unpack_from(order + _INTEGERS[kind], tiff, at + 8)
                return value if 1 <= value <= 8 else 1
    except struct.error:
        return 1
    return 1


def _frame(body: bytes, at: int) -> tuple[int, int, int, int]:
    if len(body) < 6:
        raise RefusedError("corrupt", f"the frame header at byte {at} is too short")
    precision, height, width, components = struct.unpack_from(">BHHB", body)
    if not height or not width:
        raise RefusedError("corrupt", f"the frame header says {width} x {height} pixels")
    return precision, height, width, components
