"""What image files say about themselves, read inside a TensorFlow graph: `imaging.jpeg` and `imaging.png` again.

The same rules as at ingest, so that the bundle refuses what ingest refuses: JPEG marker segments as in
ITU-T T.81 annex B, PNG chunks, EXIF orientation as in JEITA CP-3451 section 4.5.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from components.common.bundle import layout

_EXIF = b"Exif\x00\x00"
_ORIENTATION = 0x0112
# TIFF's integer types by the bytes they take; the signed ones hold 1..8 as the others do
_BYTES, _SHORTS, _LONGS = (1, 6), (3, 8), (4, 9)
_APP1, _DHT = 0xFFE1, 0xFFC4
_BASELINE = (0xFFC0, 0xFFC1)
_MAX_SCANS = 100
# Frames coded losslessly, hierarchically or arithmetically.
_OTHER_CODINGS = (0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF)
# RE2's \C is one byte, whatever the encoding; 256 zeros are half a zeroed disk sector.
_HOLE = r"\C*\x00{256}\C*"
# Bytes to skip by the low byte of a marker: TEM and restart markers stand alone, 0xFF fills; the walk ends
# at a scan or the end of the image; all others, -1, are followed by their length.
_SKIP = [{0x01: 2, 0xFF: 1, 0xDA: 0, 0xD9: 0, **dict.fromkeys(range(0xD0, 0xD8), 2)}.get(low, -1) for low in range(256)]
# What a walk notes, by the low byte of a marker: 1 EXIF or XMP, 2 a coding that is refused.
_NOTED = [1 if low == 0xE1 else 2 * (low in _OTHER_CODINGS) for low in range(256)]


def jpeg_facts(data: Any) -> tuple[Any, Any]:
    """EXIF orientation 1..8 and a status code of one JPEG file (scalar string to two int32 scalars).

    The status is corrupt for segments that do not fit and for runs of zeros that no encoder writes,
    unsupported for a progressive file with more scans than anyone needs, and for any coding but Huffman's.
    What follows the picture's end marker (gain maps, previews, movies) is not part of it.
    """
    size = tf.strings.length(data)

    def step(at: Any, _: Any, seen: Any) -> tuple[Any, Any, Any]:
        marker, following, state = _segment(data, at, size)
        return following, state, seen | tf.equal(tf.gather(_NOTED, tf.bitwise.bitwise_and(marker, 0xFF)), [1, 2])

    # Nearly every file is done after this walk, so it carries no more than it must: a step costs as much
    # as its operations are many.
    at, state, seen = tf.while_loop(_walking(size), step, (tf.constant(2), tf.constant(0), tf.constant([False] * 2)))
    turned = tf.cond(seen[0], lambda: _orientation(data), lambda: tf.constant(1))
    rest = tf.strings.substr(data, tf.minimum(at, size), tf.maximum(size - at, 0))
    raw = tf.io.decode_raw(rest, tf.uint8)
    hole = tf.cond(_any_zero_block(raw), lambda: _hole(data, rest, raw), lambda: tf.constant(False))
    scans = tf.cast(_pairs(raw, 0xFF, 0xDA), tf.int32)
    # the picture's end is looked for only where it matters: it costs another pass over the file
    many = tf.cond(tf.size(scans) > _MAX_SCANS, lambda: _count_below(scans, _end(raw)) > _MAX_SCANS, lambda: False)
    status = tf.where(seen[1] | many, layout.UNSUPPORTED, layout.OK)
    return turned, tf.where(tf.equal(state, _BAD) | hole, layout.CORRUPT, status)


_ENDED, _BAD = 1, 2


def _walking(size: Any) -> Any:
    return lambda at, state, *_: tf.equal(state, 0) & (at + 4 <= size)


def _segment(data: Any, at: Any, size: Any) -> tuple[Any, Any, Any]:
    """Marker of the segment at a position, where the next one starts, and 0 while the walk goes on."""
    head = tf.cast(tf.io.decode_raw(tf.strings.substr(data, at, 4), tf.uint16, little_endian=False), tf.int32)
    marker, length = head[0], head[1]
    skip = tf.gather(tf.constant(_SKIP), tf.bitwise.bitwise_and(marker, 0xFF))
    plain = skip < 0
    end = at + 2 + length
    wrong = (marker < 0xFF00) | (plain & ((length < 2) | (end > size)))
    state = tf.where(wrong, _BAD, tf.where(tf.equal(skip, 0), _ENDED, 0))
    return marker, tf.where(state > 0, at, tf.where(plain, end, at + skip)), state


def _orientation(data: Any) -> Any:
    """Orientation 1..8 in the first EXIF segment; 1 where there is none."""
    size = tf.strings.length(data)

    def step(at: Any, _: Any, turned: Any) -> tuple[Any, Any, Any]:
        marker, following, state = _segment(data, at, size)
        exif = tf.equal(marker, _APP1) & tf.equal(turned, 0) & (following - at >= 10) & tf.equal(state, 0)
        exif &= tf.equal(tf.strings.substr(data, at + 4, len(_EXIF)), _EXIF)
        whole = exif & (following - at >= 18)
        turned = tf.cond(whole, lambda: tiff_orientation(data, at + 10, following), lambda: tf.where(exif, 1, turned))
        return following, state, turned

    _, _, turned = tf.while_loop(_walking(size), step, (tf.constant(2), tf.constant(0), tf.constant(0)))
    return tf.maximum(turned, 1)


def _hole(data: Any, rest: Any, raw: Any) -> Any:
    """Whether `rest`, the file from its first scan on, holds a run of zeros that its code tables do not explain.

    Zeros behind the picture's end do not count: cameras pad their files with them and append other data.
    """
    size = tf.strings.length(data)

    def step(at: Any, _: Any, baseline: Any, coded: Any) -> tuple[Any, Any, Any, Any]:
        marker, following, state = _segment(data, at, size)
        tables = tf.equal(marker, _DHT) & tf.equal(state, 0)
        coded = tf.cond(tables, lambda: coded | _any_first_code(data, at + 4, following), lambda: coded)
        return following, state, baseline | tf.reduce_any(tf.equal(marker, _BASELINE)), coded

    no = tf.constant(False)
    _, _, baseline, coded = tf.while_loop(_walking(size), step, (tf.constant(2), tf.constant(0), no, no))
    return baseline & coded & tf.strings.regex_full_match(tf.strings.substr(rest, 0, _end(raw)), _HOLE)


def _end(raw: Any) -> Any:
    """Where the picture ends, of the bytes from its first scan on: at the first end marker, or at the end of the file.

    Inside compressed data 0xFF is always followed by a stuffed zero or a restart marker.
    """
    return tf.reduce_min(tf.concat([tf.cast(_pairs(raw, 0xFF, 0xD9), tf.int32), tf.size(raw)[None]], 0))


def _count_below(positions: Any, end: Any) -> Any:
    return tf.reduce_sum(tf.cast(positions < end, tf.int32))


def png_facts(data: Any) -> tuple[Any, Any]:
    """Height and width (int32 [2]) and a status code of one PNG file.

    Unsupported are 16 bits per sample, anything that can be transparent, and an EXIF orientation other
    than upright; corrupt is a file without its last chunk.
    """
    size = tf.strings.length(data)

    def walking(at: Any, done: Any, _: Any) -> Any:
        return tf.logical_not(done) & (at + 12 <= size)

    def step(at: Any, _: Any, refused: Any) -> tuple[Any, Any, Any]:
        kind = tf.strings.substr(data, at + 4, 4)
        length = tf.minimum(_number(_bytes(data, at, 4), False), 2**30)
        end = at + 12 + tf.cast(length, tf.int32)
        turned = tf.cond(
            tf.equal(kind, b"eXIf") & (end <= size) & (length >= 8),
            lambda: tiff_orientation(data, at + 8, end - 4),
            lambda: 1,
        )
        return end, tf.equal(kind, b"IEND"), refused | tf.equal(kind, b"tRNS") | tf.not_equal(turned, 1)

    def read() -> tuple[Any, Any]:
        head = _bytes(data, 16, 10)
        shape = tf.stack([_number(head[4:8], False), _number(head[0:4], False)])
        at, done, refused = tf.while_loop(walking, step, [tf.constant(8), tf.constant(False), tf.constant(False)])
        refused |= tf.equal(head[8], 16) | (head[9] >= 4)
        whole = done & (at <= size)
        status = tf.where(refused, layout.UNSUPPORTED, layout.OK)
        return tf.cast(tf.minimum(shape, 2**30), tf.int32), tf.where(whole, status, layout.CORRUPT)

    return tf.cond(size >= 33, read, lambda: (tf.zeros([2], tf.int32), layout.CORRUPT))  # type: ignore[no-any-return]


def tiff_orientation(data: Any, start: Any, end: Any) -> Any:
    """Orientation 1..8 in the first directory of the TIFF block data[start:end], 8 bytes or more; 1 where absent."""
    order = tf.strings.substr(data, start, 2)
    little = tf.equal(order, b"II")
    offset = _number(_bytes(data, start + 4, 4), little)
    directory = start + tf.cast(tf.minimum(offset, 2**20), tf.int32)
    known = little | tf.equal(order, b"MM")

    def entries() -> Any:
        count = tf.cast(_number(_bytes(data, directory, 2), little), tf.int32)
        count = tf.minimum(count, (end - directory - 2) // 12)
        table = tf.reshape(_bytes(data, directory + 2, 12 * count), [-1, 12])
        pairs = tf.where(little, table[:, 1::2] * 256 + table[:, 0::2], table[:, 0::2] * 256 + table[:, 1::2])
        # columns of an entry: tag, type, count (two), value (two)
        tagged = tf.boolean_mask(pairs, tf.equal(pairs[:, 0], _ORIENTATION))
        first = tf.concat([tagged, tf.ones([1, 6], tf.int32)], 0)[0]
        value = _orientation_value(first[1], first[4], first[5], little)
        return tf.where((value >= 1) & (value <= 8), value, 1)

    return tf.cond(known & (directory + 14 <= end), entries, lambda: 1)


def _orientation_value(kind: Any, first: Any, second: Any, little: Any) -> Any:
    """An entry's value from its type and the two 16-bit words that hold it; 0 for a type that is not an integer."""
    low, high = tf.where(little, first, second), tf.where(little, second, first)
    byte = tf.where(little, first % 256, first // 256)
    long = tf.where(tf.equal(high, 0), low, 0)
    kinds = ((_BYTES, byte), (_SHORTS, first), (_LONGS, long))
    return tf.add_n([tf.where(tf.reduce_any(tf.equal(kind, known)), value, 0) for known, value in kinds])


def _any_first_code(data: Any, start: Any, end: Any) -> Any:
    """Whether some Huffman table of a DHT segment gives its all-zero code a symbol other than 0."""

    def step(at: Any, found: Any) -> tuple[Any, Any]:
        table = _bytes(data, at, 18)
        return at + 17 + tf.reduce_sum(table[1:17]), found | tf.not_equal(table[17], 0)

    _, found = tf.while_loop(lambda at, _: at + 17 < end, step, [start, tf.constant(False)])
    return found


def _any_zero_block(raw: Any) -> Any:
    """Whether 128 bytes at a multiple of 128 are zero, as they are inside every run of 256; twice as fast."""
    blocks = tf.reshape(raw[: tf.size(raw) // 128 * 128], [-1, 128])
    return tf.reduce_any(tf.equal(tf.reduce_max(blocks, axis=1), 0))


def _pairs(raw: Any, first: int, second: int) -> Any:
    """Positions of a byte that another follows, int64 [n]."""
    return tf.where(tf.equal(raw[:-1], first) & tf.equal(raw[1:], second))[:, 0]


def _bytes(data: Any, at: Any, count: Any) -> Any:
    return tf.cast(tf.io.decode_raw(tf.strings.substr(data, at, count), tf.uint8), tf.int32)


def _number(digits: Any, little: Any) -> Any:
    """Unsigned number of 2 or 4 bytes, int64; `little`: whether the lowest byte comes first."""
    count = digits.shape[0] or tf.size(digits)
    place = tf.cast(tf.range(count), tf.int64)
    power = tf.where(little, place, tf.cast(count, tf.int64) - 1 - place)
    return tf.reduce_sum(tf.bitwise.left_shift(tf.cast(digits, tf.int64), 8 * power))
