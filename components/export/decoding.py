"""Image bytes to upright RGB pixels inside a TensorFlow graph, by the rules of `components.common.imaging.inspect`.

Built from string and image kernels of TensorFlow alone, so every server that runs a SavedModel runs
this. Dimensions are read from the header before anything is decoded: a small file cannot ask for
gigabytes of pixels.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from components.common.bundle import layout
from components.common.imaging.inspect import MAX_ASPECT
from components.export.headers import jpeg_facts, png_facts

_JPEG = b"\xff\xd8\xff"
_PNG = b"\x89PNG\r\n\x1a\n"


def decode(data: Any, min_side: int, max_pixels: int) -> tuple[Any, Any]:
    """Decodes one JPEG or PNG file.

    Returns:
        uint8 [height, width, 3], upright, and a status code (int32) of `layout.STATUSES`; for a status
        other than ok the pixels are one black dot. Data that breaks off raises when the graph runs.
    """
    jpeg = tf.strings.substr(data, 0, len(_JPEG)) == _JPEG
    png = tf.strings.substr(data, 0, len(_PNG)) == _PNG

    def of_jpeg() -> tuple[Any, Any, Any]:
        orientation, status = jpeg_facts(data)
        shape = tf.image.extract_jpeg_shape(data)
        known = tf.equal(shape[2], 1) | tf.equal(shape[2], 3)
        return shape[:2], orientation, tf.where(known, status, layout.UNSUPPORTED)

    def of_png() -> tuple[Any, Any, Any]:
        shape, status = png_facts(data)
        return shape, tf.constant(1), status

    def of_neither() -> tuple[Any, Any, Any]:
        return tf.zeros([2], tf.int32), tf.constant(1), tf.constant(layout.NOT_AN_IMAGE)

    kind = tf.cast(jpeg, tf.int32) + 2 * tf.cast(png, tf.int32)
    shape, orientation, status = tf.switch_case(kind, [of_neither, of_jpeg, of_png])
    good = tf.equal(status, layout.OK)
    sides = tf.cast(shape, tf.int64)
    short, long = tf.reduce_min(sides), tf.reduce_max(sides)
    status = tf.where(good & (long > MAX_ASPECT * short), layout.UNSUPPORTED, status)
    status = tf.where(good & (short < min_side), layout.TOO_SMALL, status)
    status = tf.where(good & (short * long > max_pixels), layout.TOO_LARGE, status)

    def read() -> Any:
        return tf.cond(jpeg, lambda: upright(_decode_jpeg(data), orientation), lambda: tf.io.decode_png(data, 3))

    rgb = tf.cond(tf.equal(status, layout.OK), read, lambda: tf.zeros([1, 1, 3], tf.uint8))
    return tf.ensure_shape(rgb, [None, None, 3]), status


def upright(rgb: Any, orientation: Any) -> Any:
    """Applies EXIF orientation 1..8 to [h, w, c]: codes from 5 on are stored transposed, the rest is mirroring."""
    rgb = tf.cond(orientation >= 5, lambda: tf.transpose(rgb, [1, 0, 2]), lambda: rgb)
    rows = tf.reduce_any(tf.equal(orientation, [3, 4, 7, 8]))
    columns = tf.reduce_any(tf.equal(orientation, [2, 3, 6, 7]))
    rgb = tf.cond(rows, lambda: tf.reverse(rgb, [0]), lambda: rgb)
    return tf.cond(columns, lambda: tf.reverse(rgb, [1]), lambda: rgb)


def _decode_jpeg(data: Any) -> Any:
    return tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE", try_recover_truncated=False)
