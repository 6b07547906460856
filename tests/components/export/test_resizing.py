"""The graph's resize against OpenCV, exact area averages, and the records' shrink."""

import cv2
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from components.common import imaging
from components.common.preparation import network_view
from components.export.resizing import area, resize, resize_reference
from components.export.selftest import generated_image

sides = st.integers(16, 400)


def exact_area(rgb, height, width):
    def shares(before, after):
        scale = before / after
        i, j = np.arange(after)[:, None], np.arange(before)[None]
        return np.clip(np.minimum((i + 1) * scale, j + 1) - np.maximum(i * scale, j), 0, None) / scale

    rows, columns = shares(rgb.shape[0], height), shares(rgb.shape[1], width)
    return np.einsum("ai,ijc,bj->abc", rows, rgb.astype(np.float64), columns, optimize=True)


@pytest.mark.parametrize(("before", "after"), [((450, 600), (144, 192)), ((97, 131), (96, 130)), ((77, 300), (11, 13))])
def test_area_is_the_exact_average_where_tensorflows_own_drifts(before, after):
    rgb = np.random.default_rng(0).integers(0, 256, (*before, 3), dtype=np.uint8)
    np.testing.assert_allclose(area(tf.constant(rgb), *map(tf.constant, after)), exact_area(rgb, *after), atol=2e-4)


def test_tensorflows_area_resize_is_not_exact():
    """The reason for our own: when this fails, ResizeArea can take its place."""
    rgb = np.random.default_rng(0).integers(0, 256, (450, 600, 3), dtype=np.uint8)
    theirs = tf.raw_ops.ResizeArea(images=rgb[None], size=(224, 299)).numpy()[0]
    assert np.abs(theirs - exact_area(rgb, 224, 299)).max() > 1e-3


GRAPH = {}


@settings(max_examples=40, deadline=None)
@given(sides, sides, st.sampled_from([(36, (36, 48)), (50, (36, 48)), (64, (64, 64))]), st.integers(0, 9))
def test_graph_and_reference_agree_for_any_size(height, width, target, seed):
    rgb = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    if target not in GRAPH:
        spec = [tf.TensorSpec([None, None, 3], tf.uint8)]
        GRAPH[target] = tf.function(lambda image: resize(image, *target), spec)
    np.testing.assert_allclose(GRAPH[target](tf.constant(rgb)), resize_reference(rgb, *target), atol=1e-4)


def test_a_large_image_is_shrunk_line_by_line_to_the_same_values():
    rgb = np.random.default_rng(1).integers(0, 256, (2000, 2100, 3), dtype=np.uint8)
    np.testing.assert_allclose(resize(tf.constant(rgb), 36, (36, 48)), resize_reference(rgb, 36, (36, 48)), atol=1e-4)


@settings(max_examples=40, deadline=None)
@given(sides, sides, st.integers(0, 9))
def test_the_reference_is_the_view_that_training_has(height, width, seed):
    rgb = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    data = cv2.imencode(".png", rgb[..., ::-1])[1].tobytes()
    difference = np.abs(resize_reference(rgb, 36, (36, 48)) - network_view(data, 36, (36, 48)))
    assert difference.max() <= 1  # OpenCV's bilinear weights have eleven bits
    assert difference.mean() < 0.2  # enlarging by whole factors makes ties, which the two round apart


@pytest.mark.parametrize("size", [(450, 600), (150, 200), (288, 384)])
def test_a_shrink_alone_is_the_same_to_the_byte_but_for_ties(size):
    rgb = generated_image(3, *size)
    differs = resize_reference(rgb, 144, (144, 192)) != imaging.shrink(rgb, 144)
    assert differs.mean() < 0.002
