"""TFRecord files without TensorFlow: framing, masked crc32c, and a reader that says where damage is.

A record is `length u64 | masked crc32c(length) u32 | data | masked crc32c(data) u32`, little endian,
with mask(c) = rotate_right(c, 15) + 0xa282ead8 (tensorflow/core/lib/hash/crc32c.h).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import google_crc32c

from components.common.runtime.errors import ArtifactError

FRAME_BYTES = 16
_MASK_DELTA = 0xA282EAD8
_LENGTH = struct.Struct("<Q")
_CRC = struct.Struct("<I")
_HEADER = struct.Struct("<QI")

_crc32c = google_crc32c.value


def masked_crc32c(data: bytes) -> int:
    """crc32c of `data`, masked as TFRecord stores it."""
    crc: int = _crc32c(data)
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def frame(data: bytes) -> bytes:
    """`data` as one TFRecord record, 16 bytes longer."""
    length = _LENGTH.pack(len(data))
    return b"".join((length, _CRC.pack(masked_crc32c(length)), data, _CRC.pack(masked_crc32c(data))))


@dataclass(frozen=True)
class Frame:
    """One record of a file as found.

    Attributes:
        number: position in the file, from 0.
        start: first byte of the record.
        end: byte after its last.
        data: its content; empty where it is damaged.
        damage: what is wrong with it, or nothing.
    """

    number: int
    start: int
    end: int
    data: bytes
    damage: str = ""


def scan_tfrecord(path: Path) -> Iterator[Frame]:
    """Yields every record of a file, damaged ones too; ends at the first whose length cannot be trusted."""
    size = path.stat().st_size
    with path.open("rb") as handle:
        start, number = 0, 0
        while start < size:
            header = handle.read(12)
            if len(header) < 12:
                yield Frame(number, start, size, b"", "the file ends inside the record's header")
                return
            length, crc = _HEADER.unpack(header)
            if crc != masked_crc32c(header[:8]):
                yield Frame(number, start, start + 12, b"", "the checksum of the record's length is wrong")
                return
            end = start + FRAME_BYTES + length
            if end > size:
                yield Frame(
                    number, start, size, b"", f"the file ends inside the record, which should end at byte {end}"
                )
                return
            data = handle.read(length)
            good = _CRC.unpack(handle.read(4))[0] == masked_crc32c(data)
            yield Frame(number, start, end, data if good else b"", "" if good else "the checksum of its data is wrong")
            start, number = end, number + 1


def read_tfrecord(path: Path) -> Iterator[bytes]:
    """Yields the content of the records of one file, each checked.

    Raises:
        ArtifactError: names the file, the record's number (from 0) and its byte range.
    """
    for found in scan_tfrecord(path):
        if found.damage:
            raise ArtifactError(
                f"{path}: record {found.number} (bytes {found.start} to {found.end}) is damaged: {found.damage}; "
                "make the shards again"
            )
        yield found.data
