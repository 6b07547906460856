"""The two shapes of a protobuf message that are written by hand here: a varint and a length-delimited field."""

from __future__ import annotations


def varint(value: int) -> bytes:
    """Base-128 encoding of an int64; negative ones take ten bytes, as protobuf does."""
    out = bytearray()
    value &= (1 << 64) - 1
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def delimited(field: int, body: bytes) -> bytes:
    """A field of bytes, text or a message."""
    return varint(field << 3 | 2) + varint(len(body)) + body
