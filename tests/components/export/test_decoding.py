"""EXIF orientation and decoding in the graph, against Pillow and ingest's decoder."""

import io

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from components.common import imaging
from components.export.decoding import decode, orientation
from components.export.selftest import generated_image


def with_exif(code, rgb=None, **tags):
    exif = Image.Exif()
    exif[0x0112] = code
    for tag, value in tags.items():
        exif[int(tag[1:], 16)] = value
    buffer = io.BytesIO()
    image = Image.fromarray(generated_image(0, 61, 90) if rgb is None else rgb)
    image.save(buffer, "JPEG", quality=95, exif=exif)
    return buffer.getvalue()


@pytest.mark.parametrize("code", range(1, 9))
def test_orientation_is_read_and_applied_as_ingest_applies_it(code):
    data = with_exif(code, x010f="a maker whose name is long", x0110="a model")
    assert int(orientation(tf.constant(data))) == code
    rgb, status = decode(tf.constant(data), 1, 10**6)
    assert int(status) == 0
    np.testing.assert_array_equal(rgb.numpy(), imaging.decode_rgb(data))


def test_both_byte_orders_and_a_segment_before_exif():
    little = b"II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00"
    big = b"MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00\x00\x00\x00\x00"
    comment = b"\xff\xfe\x00\x06abcd"
    for tiff in (little, big):
        body = b"Exif\x00\x00" + tiff
        segment = b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body
        assert int(orientation(tf.constant(b"\xff\xd8" + comment + segment + b"\xff\xda\x00\x08"))) == 6


def test_no_orientation_and_impossible_codes_count_as_upright():
    assert int(orientation(tf.constant(imaging.encode_jpeg(generated_image(0, 40, 40), 90)))) == 1
    assert int(orientation(tf.constant(with_exif(9)))) == 1


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 140), st.binary(min_size=1, max_size=8))
def test_damaged_headers_never_raise(at, junk):
    data = bytearray(with_exif(6))
    data[at : at + len(junk)] = junk
    assert 1 <= int(ORIENTATION(tf.constant(bytes(data)))) <= 8
    assert 1 <= int(ORIENTATION(tf.constant(bytes(data[:at])))) <= 8


ORIENTATION = tf.function(orientation, [tf.TensorSpec([], tf.string)])


def test_decoded_pixels_equal_ingests_pixels():
    for seed, (height, width) in enumerate([(150, 200), (33, 47), (64, 17)]):
        data = imaging.encode_jpeg(generated_image(seed, height, width), 75)
        np.testing.assert_array_equal(decode(tf.constant(data), 1, 10**6)[0].numpy(), imaging.decode_rgb(data))
