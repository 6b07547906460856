"""The graph's resize against OpenCV, exact area averages, and the records' shrink."""

import cv2
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from components.common.bundle.selftest import generated_image
from components.common.imaging import pixels
from components.common.imaging.prepare import network_view
from components.export.resizing import resize, resize_reference

sides = st.integers(16, 400)


def exact_area(rgb, height, width):
    """Area averages in fractions of whole numbers, rounded half up: [h, w, 3] to [height, width, 3]."""

    def shares(before, after):
        i, j = np.arange(after)[:, None], np.arange(before)[None]
        return np.clip(np.minimum((i + 1) * before, (j + 1) * after) - np.maximum(i * before, j * after), 0, None)

    rows, columns = shares(rgb.shape[0], height), shares(rgb.shape[1], width)
    total = np.einsum("ai,ijc->ajc", rows, rgb.astype(np.int64))
    total = np.einsum("bj,ajc->abc", columns, total)
    whole = rgb.shape[0] * rgb.shape[1]
    return (2 * total + whole) // (2 * whole)


@pytest.mark.parametrize(("before", "short", "size"), [
    ((450, 600), 144, (144, 192)),
    ((97, 131), 96, (96, 130)),
    ((77, 300), 11, (11, 43)),
    ((449, 599), 224, (224, 299)),  # too many parts for sums in float32
])  # fmt: skip
def test_a_shrink_is_the_exact_average_rounded_half_up(before, short, size):
    rgb = np.random.default_rng(0).integers(0, 256, (*before, 3), dtype=np.uint8)
    np.testing.assert_array_equal(resize(tf.constant(rgb[None]), short, size)[0], exact_area(rgb, *size))
    np.testing.assert_array_equal(resize_reference(rgb, short, size), exact_area(rgb, *size))


def test_halves_round_up():
    stripes = np.tile(np.array([10, 11], np.uint8), 8)[None, :, None].repeat(16, axis=0).repeat(3, axis=2)
    assert (resize(tf.constant(stripes[None]), 8, (8, 8)).numpy() == 11).all()
    assert (resize_reference(stripes, 8, (8, 8)) == 11).all()


def test_tensorflows_area_resize_is_not_exact():
    """The reason for our own: when this fails, ResizeArea can take its place."""
    rgb = np.random.default_rng(0).integers(0, 256, (450, 600, 3), dtype=np.uint8)
    theirs = tf.raw_ops.ResizeArea(images=rgb[None], size=(224, 299)).numpy()[0]
    assert (np.floor(theirs + 0.5) != exact_area(rgb, 224, 299)).any()


GRAPH = {}


@settings(max_examples=40, deadline=None)
@given(sides, sides, st.sampled_from([(36, (36, 48)), (50, (36, 48)), (64, (64, 64))]), st.integers(0, 9))
def test_graph_and_reference_agree_to_the_bit_for_any_size(height, width, target, seed):
    rgb = np.random.default_rng(seed).integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    if target not in GRAPH:
        spec = [tf.TensorSpec([None, None, None, 3], tf.uint8)]
        GRAPH[target] = tf.function(lambda image: resize(image, *target), spec)
    expected = [resize_reference(one, *target) for one in rgb]
    np.testing.assert_array_equal(GRAPH[target](tf.constant(rgb)), expected)


@pytest.mark.parametrize("size", [(2000, 2100), (33_000, 66), (66, 33_000)])
def test_large_and_long_images_are_shrunk_block_by_block_to_the_same_values(size):
    rgb = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    expected = resize_reference(rgb, 2, (36, 48))
    np.testing.assert_array_equal(resize(tf.constant(rgb[None]), 2, (36, 48))[0], expected)


@settings(max_examples=40, deadline=None)
@given(sides, sides, st.integers(0, 9))
def test_the_reference_is_the_view_that_training_has(height, width, seed):
    rgb = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    data = cv2.imencode(".png", rgb[..., ::-1])[1].tobytes()
    difference = np.abs(resize_reference(rgb, 36, (36, 48)).astype(int) - network_view(data, 36, (36, 48)))
    assert difference.max() <= 1  # OpenCV's bilinear weights have eleven bits
    assert difference.mean() < 0.2  # enlarging by whole factors makes ties, which the two round apart


@pytest.mark.parametrize("size", [(450, 600), (150, 200), (288, 384)])
def test_a_shrink_alone_is_the_same_to_the_byte_but_for_ties(size):
    rgb = generated_image(3, *size)
    differs = resize_reference(rgb, 144, (144, 192)) != pixels.shrink(rgb, 144)
    assert differs.mean() < 0.002
