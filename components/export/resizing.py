"""Resizing as the training records saw it, inside a TensorFlow graph and as a reference in NumPy.

First an antialiased (area) shrink to the records' short side, then, where that is not yet the
network's input, a bilinear stretch, each rounded to whole grey levels: `common.preparation.network_view`
without OpenCV. Without the rounding, the logits of a network trained on HAM10000 moved by 0.05 on average.

Both sides compute in float64 and round once, to float32. In float32 they differed by 5e-5 grey levels,
which a network that is sure of itself turned into 3e-5 in probability.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from components.common import imaging

Pixels = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
# Halves round up. Averages of bytes often end in exactly one half, where the last bit of a sum would
# decide; a millionth more takes that decision away from the order of summation.
_HALF = 0.5 + 1e-6
_LARGE = 12_000_000  # values: 4 megapixels in colour


def resize_reference(rgb: npt.NDArray[np.uint8], short_side: int, size: tuple[int, int]) -> Pixels:
    """The Python path: area averages and bilinear interpolation as dense matrices.

    Args:
        rgb: uint8 [h, w, 3].
        short_side: record size in pixels.
        size: the network's (height, width).

    Returns:
        float32 [height, width, 3], whole numbers 0..255.
    """
    shrunk = imaging.shrunk_size(rgb.shape[0], rgb.shape[1], short_side)
    image = rgb.astype(np.float64)
    if shrunk != rgb.shape[:2]:
        image = _rounded(_apply(image, *(_area_matrix(*sides) for sides in zip(rgb.shape, shrunk, strict=False))))
    if shrunk != size:
        image = _rounded(_apply(image, *(_linear_matrix(*sides) for sides in zip(shrunk, size, strict=True))))
    return image.astype(np.float32)


def _rounded(image: Floats) -> Floats:
    return np.floor(image + _HALF)


def _apply(image: Floats, rows: Floats, columns: Floats) -> Floats:
    return np.asarray(np.einsum("ai,ijc,bj->abc", rows, image, columns, optimize=True))


def _area_matrix(before: int, after: int) -> Floats:
    """Share of each source pixel in each output: [after, before], rows sum to 1."""
    scale = before / after
    out, source = np.arange(after)[:, None], np.arange(before)[None]
    overlap = np.minimum((out + 1) * scale, source + 1) - np.maximum(out * scale, source)
    return np.asarray(np.clip(overlap, 0, None) / scale)


def _linear_matrix(before: int, after: int) -> Floats:
    """Bilinear weights between pixel centres, edges repeated: [after, before], rows sum to 1."""
    centre = np.clip((np.arange(after) + 0.5) * before / after - 0.5, 0, before - 1)
    return np.asarray(np.clip(1 - np.abs(centre[:, None] - np.arange(before)[None]), 0, None))


def resize(rgb: Any, short_side: int, size: tuple[int, int]) -> Any:
    """`resize_reference` as graph operations: uint8 [h, w, 3], any h and w, to float32 [*size, 3]."""
    import tensorflow as tf

    shape = tf.shape(rgb)
    height, width = shape[0], shape[1]
    short = tf.minimum(height, width)

    def shrink() -> Any:
        # int64: twice a long side times a record size passes 2**31 for wide panoramas
        sides = tf.cast(shape[:2], tf.int64)
        target = (2 * sides * short_side + tf.cast(short, tf.int64)) // (2 * tf.cast(short, tf.int64))
        return area(rgb, tf.cast(target[0], tf.int32), tf.cast(target[1], tf.int32))

    def rounded(image: Any) -> Any:
        return tf.floor(image + _HALF)

    shrunk = tf.cond(short > short_side, lambda: rounded(shrink()), lambda: tf.cast(rgb, tf.float64))
    right = tf.reduce_all(tf.equal(tf.shape(shrunk)[:2], size))
    target = tf.constant(size[0]), tf.constant(size[1])
    resized = tf.cond(right, lambda: shrunk, lambda: rounded(_separable(shrunk, *target, _linear_taps)))
    return tf.ensure_shape(tf.cast(resized, tf.float32), [*size, 3])


def area(rgb: Any, height: Any, width: Any) -> Any:
    """Area-averaging shrink of uint8 [h, w, 3] to float64 [height, width, 3].

    TensorFlow's own ResizeArea and ResizeBilinear keep their scales in float32 and drift by up to 0.006
    grey levels, too much for a parity of 1e-5 in probability.
    """
    return _separable(rgb, height, width, _area_taps)


def _separable(image: Any, height: Any, width: Any, taps: Callable[[Any, Any], tuple[Any, Any]]) -> Any:
    """Weighs rows, then columns; `taps` gives source positions and weights of every output position."""
    import tensorflow as tf

    shape = tf.shape(image)
    rows = _weigh(tf.reshape(image, [shape[0], shape[1] * 3]), *taps(shape[0], height))
    # columns are weighed as rows of the transposed image: whole lines are contiguous, pixels are not
    turned = tf.reshape(tf.transpose(tf.reshape(rows, [height, shape[1], 3]), [1, 0, 2]), [shape[1], height * 3])
    columns = _weigh(turned, *taps(shape[1], width))
    return tf.transpose(tf.reshape(columns, [width, height, 3]), [1, 0, 2])


def _weigh(lines: Any, index: Any, weight: Any) -> Any:
    """Weighted sums of lines: [n, c], positions and weights [m, k], to float64 [m, c]."""
    import tensorflow as tf

    def at_once() -> Any:
        return tf.matmul(weight[:, None, :], tf.cast(tf.gather(lines, index), tf.float64))[:, 0]

    def one_by_one() -> Any:  # a tenth of the speed, and no copy of a large image in float64
        def line(one: tuple[Any, Any]) -> Any:
            return tf.matmul(one[1][None], tf.cast(tf.gather(lines, one[0]), tf.float64))[0]

        return tf.map_fn(line, (index, weight), fn_output_signature=tf.TensorSpec([None], tf.float64))

    return tf.cond(tf.size(lines, out_type=tf.int64) > _LARGE, one_by_one, at_once)


def _area_taps(before: Any, after: Any) -> tuple[Any, Any]:
    """For each of `after` outputs: source positions [after, k] and the share each has, summing to 1."""
    import tensorflow as tf

    scale = tf.cast(before, tf.float64) / tf.cast(after, tf.float64)
    left = tf.cast(tf.range(after), tf.float64)[:, None] * scale
    index = tf.cast(tf.floor(left), tf.int32) + tf.range(tf.cast(tf.math.ceil(scale), tf.int32) + 1)[None]
    start = tf.cast(index, tf.float64)
    overlap = tf.minimum(left + scale, start + 1.0) - tf.maximum(left, start)
    return tf.minimum(index, before - 1), tf.maximum(overlap, 0.0) / scale


def _linear_taps(before: Any, after: Any) -> tuple[Any, Any]:
    """The same for bilinear interpolation between pixel centres (half-pixel convention), k = 2."""
    import tensorflow as tf

    scale = tf.cast(before, tf.float64) / tf.cast(after, tf.float64)
    centre = (tf.cast(tf.range(after), tf.float64) + 0.5) * scale - 0.5
    left = tf.floor(centre)
    share = centre - left
    index = tf.cast(left, tf.int32)[:, None] + tf.range(2)[None]
    return tf.clip_by_value(index, 0, before - 1), tf.stack([1.0 - share, share], axis=1)
