"""Records, training and serving see the same pixels; a second JPEG generation happens only where it saves bytes."""

import cv2
import numpy as np
import pytest

from components.common.imaging.inspect import decode_rgb
from components.common.imaging.pixels import encode_jpeg, shrink
from components.common.imaging.prepare import network_view, stored_image
from components.common.runtime.errors import DataError


def picture(height, width, *, grain):
    """A smooth gradient, or one with grain that JPEG cannot compress."""
    rows, columns = np.mgrid[0:height, 0:width]
    base = np.stack([100 + rows // 4, 80 + columns // 4, 60 + (rows + columns) // 8], -1)
    noise = np.random.default_rng(0).integers(-30, 30, base.shape) if grain else 0
    return np.clip(base + noise, 0, 255).astype(np.uint8)


def test_a_small_plain_jpeg_keeps_its_bytes():
    data = encode_jpeg(picture(60, 80, grain=True), 75)
    assert stored_image(data, 72, 95, plain=True) is data


def test_a_hardly_larger_jpeg_keeps_its_bytes_because_a_new_encoding_would_be_larger():
    data = encode_jpeg(picture(150, 200, grain=False), 75)
    assert stored_image(data, 144, 95, plain=True) is data


def test_a_much_larger_jpeg_is_shrunk():
    data = encode_jpeg(picture(450, 600, grain=True), 90)
    stored = stored_image(data, 72, 95, plain=True)
    assert len(stored) < len(data)
    assert decode_rgb(stored).shape == (72, 96, 3)


@pytest.mark.parametrize("size", [(60, 80), (300, 400)])
def test_what_is_no_plain_jpeg_is_encoded(size):
    data = cv2.imencode(".png", picture(*size, grain=False))[1].tobytes()
    stored = stored_image(data, 72, 95, plain=False)
    assert stored[:2] == b"\xff\xd8"
    assert min(decode_rgb(stored).shape[:2]) == min(72, size[0])


def test_the_view_of_kept_bytes_is_shrunk_by_area_then_stretched():
    rgb = picture(300, 400, grain=True)
    data = cv2.imencode(".png", rgb[..., ::-1])[1].tobytes()
    np.testing.assert_array_equal(network_view(data, 72, (72, 96)), shrink(rgb, 72))
    stretched = cv2.resize(shrink(rgb, 72), (64, 64), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(network_view(data, 72, (64, 64)), stretched)


def test_without_a_record_size_the_smaller_side_of_the_network_counts():
    data = encode_jpeg(picture(300, 400, grain=True), 90)
    np.testing.assert_array_equal(network_view(data, None, (72, 96)), network_view(data, 72, (72, 96)))


def test_a_damaged_image_is_refused():
    data = encode_jpeg(picture(300, 400, grain=True), 90)
    with pytest.raises(DataError, match="corrupt"):
        network_view(data[: len(data) // 2], 72, (72, 96))
    with pytest.raises(DataError, match="corrupt"):
        stored_image(data[: len(data) // 2], 72, 95, plain=True)
