"""Resizing as the training records saw it, inside a TensorFlow graph and as a reference in NumPy.

First an antialiased (area) shrink to the records' short side, then, where that is not yet the
network's input, a bilinear stretch, each rounded to whole grey levels: `imaging.prepare.network_view`
without OpenCV. Without the rounding, the logits of a network trained on HAM10000 moved by 0.05 on average.

Weights are integers: the shares of `before` pixels in `after` pixels are multiples of 1/after. Sums of
bytes with such weights are integers too, and floats hold them exactly as long as they stay below
2**24 or 2**53. So the order of summation does not matter, and graph and reference agree to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from components.common.imaging import pixels

Pixels = npt.NDArray[np.uint8]
_SIZES = 64  # lengths whose weights are kept; most images of a collection have the same few
_BLOCK = 8  # outputs that are weighed together: their sources are neighbours
_DIVISORS = 64  # common factors of two lengths are looked for up to here
_LARGE = 12_000_000  # values: 4 megapixels in colour
_EXACT = 2**24  # integers below it are exact in float32


def resize_reference(rgb: Pixels, short_side: int, size: tuple[int, int]) -> Pixels:
    """The Python path: area averages and bilinear interpolation as products with sparse matrices.

    Args:
        rgb: uint8 [h, w, 3].
        short_side: record size in pixels.
        size: the network's (height, width).

    Returns:
        uint8 [height, width, 3].
    """
    shrunk = pixels.shrunk_size(rgb.shape[0], rgb.shape[1], short_side)
    if shrunk != rgb.shape[:2]:
        rgb = _apply(rgb, *(_area_matrix(*sides) for sides in zip(rgb.shape, shrunk, strict=False)))
    if shrunk != size:
        rgb = _apply(rgb, *(_linear_matrix(*sides) for sides in zip(shrunk, size, strict=True)))
    return rgb


def _apply(image: Pixels, rows: sparse.csr_array, columns: sparse.csr_array) -> Pixels:
    height, width, channels = image.shape
    lines = rows @ image.reshape(height, width * channels).astype(np.float64)
    turned = lines.reshape(-1, width, channels).transpose(1, 0, 2).reshape(width, -1)
    total = (columns @ turned).reshape(columns.shape[0], -1, channels).transpose(1, 0, 2)
    whole = rows[[0]].sum() * columns[[0]].sum()
    return np.asarray(np.floor((2 * total + whole) / (2 * whole)), np.uint8)


@lru_cache(_SIZES)
def _area_matrix(before: int, after: int) -> sparse.csr_array:
    """Share of each source pixel in each output, in units of 1/after: [after, before], rows sum to `before`."""
    out, source = np.arange(after)[:, None], np.arange(before)[None]
    overlap = np.minimum((out + 1) * before, (source + 1) * after) - np.maximum(out * before, source * after)
    return sparse.csr_array(np.clip(overlap, 0, None), dtype=np.float64)


@lru_cache(_SIZES)
def _linear_matrix(before: int, after: int) -> sparse.csr_array:
    """Bilinear weights between pixel centres, edges repeated: [after, before], rows sum to 2 after."""
    centre = np.clip((2 * np.arange(after) + 1) * before - after, 0, 2 * after * (before - 1))
    weight = 2 * after - np.abs(centre[:, None] - 2 * after * np.arange(before)[None])
    return sparse.csr_array(np.clip(weight, 0, None), dtype=np.float64)


def resize(rgb: Any, short_side: int, size: tuple[int, int]) -> Any:
    """`resize_reference` as graph operations: uint8 [n, h, w, 3], any n, h and w, to uint8 [n, *size, 3]."""
    import tensorflow as tf

    shape = tf.shape(rgb, out_type=tf.int64)
    sides = shape[1:3]
    short = tf.reduce_min(sides)
    target = tf.where(short > short_side, (2 * sides * short_side + short) // (2 * tf.maximum(short, 1)), sides)
    shrunk = tf.cond(short > short_side, lambda: _separable(rgb, target, _area_weights), lambda: rgb)
    right = tf.reduce_all(tf.equal(target, size))
    wanted = tf.constant(size, tf.int64)
    resized = tf.cond(right, lambda: shrunk, lambda: _separable(shrunk, wanted, _linear_weights))
    return tf.ensure_shape(resized, [None, *size, 3])


def _separable(image: Any, size: Any, weights: Callable[[Any, Any], tuple[Any, Any, Any]]) -> Any:
    """Weighs rows, then columns, and rounds, halves up: uint8 [n, h, w, 3] to uint8 [n, *size, 3].

    `weights` gives source positions and weights of every block of outputs, and what weights sum to.
    """
    import tensorflow as tf

    before = tf.shape(image, out_type=tf.int64)
    number, width = before[0], before[2]
    row_index, row_weight, row_sum = weights(before[1], size[0])
    column_index, column_weight, column_sum = weights(width, size[1])
    whole = row_sum * column_sum

    def weigh(first: Any, second: Any, product: Callable[[Any, Any, Any], Any]) -> Any:
        lines = product(tf.reshape(image, [number, before[1], width * 3]), row_index, tf.cast(row_weight, first))
        rows = tf.cast(tf.reshape(lines[:, : size[0]], [number, size[0], width, 3]), second)
        # columns are weighed as rows of the transposed image: whole lines are contiguous, pixels are not
        turned = tf.reshape(tf.transpose(rows, [0, 2, 1, 3]), [number, width, size[0] * 3])
        lines = product(turned, column_index, tf.cast(column_weight, second))
        total = tf.floor((2 * lines[:, : size[1]] + tf.cast(whole, second)) / tf.cast(2 * whole, second))
        grey = tf.reshape(tf.cast(total, tf.uint8), [number, size[1], size[0], 3])
        return tf.transpose(grey, [0, 2, 1, 3])

    large = (tf.size(image, out_type=tf.int64) > _LARGE) | (511 * row_sum >= _EXACT)
    plan = tf.where(large, 2, tf.where(511 * whole < _EXACT, 0, 1))
    return tf.switch_case(
        plan,
        [
            lambda: weigh(tf.float32, tf.float32, _at_once),
            lambda: weigh(tf.float32, tf.float64, _at_once),
            lambda: weigh(tf.float64, tf.float64, _by_blocks),
        ],
    )


def _at_once(lines: Any, index: Any, weight: Any) -> Any:
    """Weighted sums of lines: [n, h, c], positions [b, t], weights [b, m, t], to [n, b * m, c]."""
    import tensorflow as tf

    sums = tf.matmul(weight[None], tf.cast(tf.gather(lines, index, axis=1), weight.dtype))
    return tf.reshape(sums, tf.stack([tf.shape(lines)[0], -1, tf.shape(lines)[2]]))


def _by_blocks(lines: Any, index: Any, weight: Any) -> Any:
    """The same without a copy of a large image in float64."""
    import tensorflow as tf

    def block(one: tuple[Any, Any]) -> Any:
        return tf.matmul(one[1][None], tf.cast(tf.gather(lines, one[0], axis=1), weight.dtype))

    kind = tf.TensorSpec([None, _BLOCK, None], weight.dtype)
    sums = tf.map_fn(block, (index, weight), fn_output_signature=kind)
    sums = tf.transpose(sums, [1, 0, 2, 3])
    return tf.reshape(sums, tf.stack([tf.shape(lines)[0], -1, tf.shape(lines)[2]]))


def _area_weights(before: Any, after: Any) -> tuple[Any, Any, Any]:
    """For each block of outputs: source positions [b, t], weights [b, _BLOCK, t], and their sum; all int64."""
    import tensorflow as tf

    p, q = _reduced(before, after)
    out = _outputs(after)[:, :, None]
    source = out[:, :1] * p // q + tf.range((_BLOCK * p + q - 1) // q + 1)
    overlap = tf.minimum((out + 1) * p, (source + 1) * q) - tf.maximum(out * p, source * q)
    return tf.minimum(source[:, 0], before - 1), tf.maximum(overlap, 0), p


def _linear_weights(before: Any, after: Any) -> tuple[Any, Any, Any]:
    """The same for bilinear interpolation between pixel centres (half-pixel convention)."""
    import tensorflow as tf

    p, q = _reduced(before, after)
    centre = tf.clip_by_value((2 * _outputs(after)[:, :, None] + 1) * p - q, 0, 2 * q * (before - 1))
    source = centre[:, :1] // (2 * q) + tf.range((_BLOCK * p + q - 1) // q + 2)
    weight = tf.maximum(2 * q - tf.abs(centre - 2 * q * source), 0)
    return tf.minimum(source[:, 0], before - 1), tf.where(source < before, weight, 0), 2 * q


def _outputs(after: Any) -> Any:
    import tensorflow as tf

    return tf.reshape(tf.range((after + _BLOCK - 1) // _BLOCK * _BLOCK), [-1, _BLOCK])


def _reduced(before: Any, after: Any) -> tuple[Any, Any]:
    """Both lengths without a common factor, so that weights are small numbers."""
    import tensorflow as tf

    factor = tf.range(1, _DIVISORS + 1, dtype=tf.int64)
    common = tf.reduce_max(tf.where(tf.equal(before % factor, 0) & tf.equal(after % factor, 0), factor, 1))
    return before // common, after // common
