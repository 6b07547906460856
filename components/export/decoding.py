"""Image bytes to RGB pixels inside a TensorFlow graph, EXIF orientation included.

Built from string and image kernels of TensorFlow alone, so every server that runs a SavedModel runs
this. Dimensions are read from the header before anything is decoded: a small file cannot ask for
gigabytes of pixels.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from components.export import layout

_JPEG = b"\xff\xd8\xff"
_PNG = b"\x89PNG\r\n\x1a\n"
_EXIF = b"Exif\x00\x00"
_ORIENTATION = 0x0112
_START_OF_SCAN, _APP1 = 0xDA, 0xE1


def decode(data: Any, min_side: int, max_pixels: int) -> tuple[Any, Any]:
    """Decodes one JPEG or PNG file.

    Args:
        data: the file, scalar string tensor.
        min_side: shortest side in pixels that is accepted.
        max_pixels: most pixels that are decoded.

    Returns:
        uint8 [height, width, 3], upright, and a status code (int32) of `layout.STATUSES`; for a status
        other than ok the pixels are one black dot. Data that breaks off raises when the graph runs.
    """
    jpeg = tf.strings.substr(data, 0, len(_JPEG)) == _JPEG
    png = tf.strings.substr(data, 0, len(_PNG)) == _PNG
    shape = tf.switch_case(
        tf.cast(png, tf.int32) + 2 * tf.cast(jpeg, tf.int32),
        [lambda: tf.zeros([3], tf.int32), lambda: _png_shape(data), lambda: tf.image.extract_jpeg_shape(data)],
    )
    shape = tf.ensure_shape(shape, [3])
    status = tf.constant(layout.OK)
    status = tf.where(tf.reduce_min(shape[:2]) < min_side, layout.TOO_SMALL, status)
    pixels = tf.cast(shape[0], tf.int64) * tf.cast(shape[1], tf.int64)
    status = tf.where(pixels > max_pixels, layout.TOO_LARGE, status)
    status = tf.where(shape[2] > 3, layout.UNSUPPORTED, status)
    status = tf.where(jpeg | png, status, layout.NOT_AN_IMAGE)

    def read() -> Any:
        return tf.cond(jpeg, lambda: _upright(_decode_jpeg(data), orientation(data)), lambda: _decode_png(data))

    rgb = tf.cond(tf.equal(status, layout.OK), read, lambda: tf.zeros([1, 1, 3], tf.uint8))
    return tf.ensure_shape(rgb, [None, None, 3]), status


def _decode_jpeg(data: Any) -> Any:
    return tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE", try_recover_truncated=False)


def _decode_png(data: Any) -> Any:
    return tf.io.decode_png(data, channels=3)


def _png_shape(data: Any) -> Any:
    # IHDR follows the 8-byte signature, 4 bytes of length and its name
    header = tf.cast(tf.io.decode_raw(tf.strings.substr(data, 16, 8), tf.uint8), tf.int64)
    size = tf.reduce_sum(tf.reshape(header, [2, 4]) * tf.constant([1 << 24, 1 << 16, 1 << 8, 1], tf.int64), axis=1)
    return tf.concat([tf.cast(tf.minimum(size, 2**30), tf.int32), [3]], 0)


def orientation(data: Any) -> Any:
    """EXIF orientation of a JPEG file, 1 to 8 (int32 scalar); 1 where there is none or it is damaged.

    Walks the marker segments up to the first scan, as in JEITA CP-3451 section 4.5.
    """
    size = tf.strings.length(data)

    def walking(at: Any, found: Any) -> Any:
        return (at + 4 <= size) & tf.equal(found, 0)

    def step(at: Any, found: Any) -> tuple[Any, Any]:
        head = _bytes(data, at, 4)
        length = head[2] * 256 + head[3]
        ours = tf.equal(head[1], _APP1) & (at + 18 <= size)
        ours &= tf.strings.substr(data, tf.minimum(at + 4, size), 6) == _EXIF
        found = tf.cond(ours, lambda: _tiff_orientation(data, at + 10, tf.minimum(at + 2 + length, size)), lambda: 0)
        last = tf.not_equal(head[0], 0xFF) | tf.equal(head[1], _START_OF_SCAN) | (length < 2)
        return tf.where(last, size, at + 2 + length), found

    _, found = tf.while_loop(walking, step, [tf.constant(2), tf.constant(0)])
    return tf.where((found >= 1) & (found <= 8), found, 1)


def _tiff_orientation(data: Any, start: Any, end: Any) -> Any:
    """Looks the tag up in the first directory of the TIFF block data[start:end]; -1 when it is not there."""
    little = tf.strings.substr(data, start, 2) == b"II"
    offset = _number(_bytes(data, start + 4, 4), little)
    directory = start + tf.cast(tf.minimum(offset, 1 << 20), tf.int32)

    def entries() -> Any:
        count = tf.cast(_number(_bytes(data, directory, 2), little), tf.int32)
        count = tf.minimum(count, (end - directory - 2) // 12)
        table = tf.reshape(_bytes(data, directory + 2, 12 * count), [-1, 12])
        tags = tf.where(little, table[:, 0] + 256 * table[:, 1], 256 * table[:, 0] + table[:, 1])
        values = tf.where(little, table[:, 8] + 256 * table[:, 9], 256 * table[:, 8] + table[:, 9])
        hits = tf.boolean_mask(values, tf.equal(tags, _ORIENTATION))
        return tf.concat([hits, [-1]], 0)[0]

    return tf.cond(directory + 14 <= end, entries, lambda: -1)


def _bytes(data: Any, at: Any, count: Any) -> Any:
    return tf.cast(tf.io.decode_raw(tf.strings.substr(data, at, count), tf.uint8), tf.int32)


def _number(digits: Any, little: Any) -> Any:
    big_first = tf.cast(tf.where(little, tf.reverse(digits, [0]), digits), tf.int64)
    return tf.foldl(lambda total, digit: total * 256 + digit, big_first, tf.constant(0, tf.int64))


def _upright(rgb: Any, code: Any) -> Any:
    """Applies EXIF orientation 1..8: codes from 5 on are stored transposed, the rest is mirroring."""
    rgb = tf.cond(code >= 5, lambda: tf.transpose(rgb, [1, 0, 2]), lambda: rgb)
    rows = tf.reduce_any(tf.equal(code, [3, 4, 7, 8]))
    columns = tf.reduce_any(tf.equal(code, [2, 3, 6, 7]))
    rgb = tf.cond(rows, lambda: tf.reverse(rgb, [0]), lambda: rgb)
    return tf.cond(columns, lambda: tf.reverse(rgb, [1]), lambda: rgb)
