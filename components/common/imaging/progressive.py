"""Runs of zeros in progressive JPEG files: what a zeroed disk sector leaves, and no decoder complains about.

A progressive file has many scans (ITU-T T.81 annex G). Passes that refine coefficients decode almost any
bits to the end: of 512-byte sectors zeroed in such files libjpeg accepts three in ten. Zeros are implausible
where, in the table the scan uses, the all-zero code means a new coefficient and not "nothing new here".
The one pass without codes refines the mean of each block by raw bits; there zeros cannot be told from a
dark margin, and change brightness by one quantisation step at most.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_ZEROS = bytes(256)
_DHT, _SCAN, _END = 0xC4, 0xDA, 0xD9
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # ends a scan's data; stuffed bytes and restarts do not


def zeroed_scan(data: bytes, first_scan: int) -> int:
    """Offset of a run of zeros inside a scan that no encoder writes there, -1 if there is none.

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
                codes.update(code_tables(data[at + 4 : end]))
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


def code_tables(body: bytes) -> Iterator[tuple[int, int]]:
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
