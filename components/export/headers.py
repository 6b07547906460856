"""What image files say about themselves, read inside a TensorFlow graph: `components.common.jpeg` and `png` again.

The same rules as at ingest, so that the bundle refuses what ingest refuses: JPEG marker segments as in
ITU-T T.81 annex B, PNG chunks, EXIF orientation as in JEITA CP-3451 section 4.5.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from components.export import layout

_EXIF = b"Exif\x00\x00"
_ORIENTATION, _SHORT = 0x0112, 3
_SCAN, _END, _APP1, _DHT = 0xDA, 0xD9, 0xE1, 0xC4
_MAX_SCANS = 100
# Frames coded losslessly, hierarchically or arithmetically.
_OTHER_CODINGS = (0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF)
# RE2's \C is one byte, whatever the encoding; 256 zeros are half a zeroed disk sector.
_HOLE = r"\C*\x00{256}\C*"


def jpeg_facts(data: Any) -> tuple[Any, Any]:
    """EXIF orientation 1..8 and a status code of one JPEG file (scalar string to two int32 scalars).

    The status is corrupt for segments that do not fit and for runs of zeros that no encoder writes,
    unsupported for a progressive file with more scans than anyone needs, and for any coding but Huffman's.
    """
    size = tf.strings.length(data)

    def walking(at: Any, done: Any, *_: Any) -> Any:
        return tf.logical_not(done) & (at + 4 <= size)

    def step(at: Any, _: Any, turned: Any, baseline: Any, coded: Any, odd: Any, bad: Any) -> tuple[Any, ...]:
        head = _bytes(data, at, 4)
        marker, length = head[1], head[2] * 256 + head[3]
        fill = tf.equal(marker, 0xFF)
        alone = tf.equal(marker, 1) | ((marker >= 0xD0) & (marker <= 0xD7))
        last = tf.equal(marker, _SCAN) | tf.equal(marker, _END)
        plain = tf.logical_not(fill | alone | last)
        wrong = tf.not_equal(head[0], 0xFF) | (plain & ((length < 2) | (at + 2 + length > size)))
        body, end = at + 4, at + 2 + length
        inside = plain & tf.logical_not(wrong)
        exif = inside & tf.equal(marker, _APP1) & tf.equal(turned, 0) & (length >= 16)
        exif &= tf.strings.substr(data, tf.minimum(body, size), 6) == _EXIF
        turned = tf.cond(exif, lambda: tiff_orientation(data, body + 6, end), lambda: turned)
        tables = inside & tf.equal(marker, _DHT)
        coded = tf.cond(tables, lambda: coded | _any_first_code(data, body, end), lambda: coded)
        baseline |= inside & (tf.equal(marker, 0xC0) | tf.equal(marker, 0xC1))
        odd |= inside & tf.reduce_any(tf.equal(marker, _OTHER_CODINGS))
        following = tf.where(fill, at + 1, tf.where(alone, at + 2, end))
        return tf.where(wrong | last, at, following), wrong | last, turned, baseline, coded, odd, bad | wrong

    no = tf.constant(False)
    start = (tf.constant(2), no, tf.constant(0), no, no, no, no)
    at, _, turned, baseline, coded, odd, bad = tf.while_loop(walking, step, start)
    rest = tf.strings.substr(data, tf.minimum(at, size), tf.maximum(size - at, 0))
    raw = tf.io.decode_raw(rest, tf.uint8)
    suspect = baseline & coded & _any_zero_block(raw)
    hole = tf.cond(suspect, lambda: tf.strings.regex_full_match(rest, _HOLE), lambda: no)
    status = tf.where(odd | (_scans(raw) > _MAX_SCANS), layout.UNSUPPORTED, layout.OK)
    return tf.maximum(turned, 1), tf.where(bad | hole, layout.CORRUPT, status)


def png_facts(data: Any) -> tuple[Any, Any]:
    """Height and width (int32 [2]) and a status code of one PNG file.

    Unsupported are 16 bits a sample, anything that can be transparent, and an EXIF orientation other
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
        first = tf.concat([tf.boolean_mask(pairs, tf.equal(pairs[:, 0], _ORIENTATION)), tf.ones([1, 6], tf.int32)], 0)[
            0
        ]
        good = tf.equal(first[1], _SHORT) & (first[4] >= 1) & (first[4] <= 8)
        return tf.where(good, first[4], 1)

    return tf.cond(known & (directory + 14 <= end), entries, lambda: 1)


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


def _scans(raw: Any) -> Any:
    return tf.reduce_sum(tf.cast(tf.equal(raw[:-1], 0xFF) & tf.equal(raw[1:], _SCAN), tf.int32))


def _bytes(data: Any, at: Any, count: Any) -> Any:
    return tf.cast(tf.io.decode_raw(tf.strings.substr(data, at, count), tf.uint8), tf.int32)


def _number(digits: Any, little: Any) -> Any:
    """Unsigned number of 2 or 4 bytes, int64; `little`: whether the lowest byte comes first."""
    count = digits.shape[0] or tf.size(digits)
    place = tf.cast(tf.range(count), tf.int64)
    power = tf.where(little, place, tf.cast(count, tf.int64) - 1 - place)
    return tf.reduce_sum(tf.bitwise.left_shift(tf.cast(digits, tf.int64), 8 * power))
