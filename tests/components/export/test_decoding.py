"""EXIF orientation and decoding in the graph, against Pillow and ingest's decoder."""

import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from components.common.bundle.layout import CORRUPT, OK, UNSUPPORTED
from components.common.bundle.selftest import generated_image
from components.common.imaging import inspect, pixels
from components.common.imaging.jpeg import read_header, zeroed
from components.common.imaging.kinds import RefusedError
from components.export.decoding import decode
from components.export.headers import jpeg_facts

FACTS = tf.function(jpeg_facts, [tf.TensorSpec([], tf.string)])


def orientation(data):
    return FACTS(tf.constant(data))[0]


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
    assert int(orientation(data)) == code
    rgb, status = decode(tf.constant(data), 1, 10**6)
    assert int(status) == 0
    np.testing.assert_array_equal(rgb.numpy(), inspect.decode_rgb(data))


def test_both_byte_orders_and_a_segment_before_exif():
    little = b"II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00"
    big = b"MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00\x00\x00\x00\x00"
    comment = b"\xff\xfe\x00\x06abcd"
    for tiff in (little, big):
        body = b"Exif\x00\x00" + tiff
        segment = b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body
        assert int(orientation(b"\xff\xd8" + comment + b"\xff" + segment + b"\xff\xda\x00\x08")) == 6


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", range(14))
@pytest.mark.parametrize("code", [0, 1, 6, 8, 9, 255])
def test_orientation_of_every_type_is_read_as_ingest_reads_it(code, kind, order):
    value = struct.pack(order + {3: "Hxx", 8: "Hxx", 4: "I", 9: "I"}.get(kind, "Bxxx"), code)
    tiff = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "IHHHI", 8, 1, 0x0112, kind, 1) + value
    short = b"\xff\xe1\x00\x0aExif\0\0II" * (code == 9)  # too short to say anything, and the first all the same
    body = b"Exif\0\0" + tiff
    data = b"\xff\xd8" + short + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + with_exif(1)[2:]
    assert int(orientation(data)) == read_header(data).orientation
    if not short:
        assert int(orientation(data)) == (code if kind in (1, 3, 4, 6, 8, 9) and 1 <= code <= 8 else 1)


def test_no_orientation_and_impossible_codes_count_as_upright():
    assert int(orientation(pixels.encode_jpeg(generated_image(0, 40, 40), 90))) == 1
    assert int(orientation(with_exif(9))) == 1


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 140), st.binary(min_size=1, max_size=8))
def test_damaged_headers_never_raise(at, junk):
    data = bytearray(with_exif(6))
    data[at : at + len(junk)] = junk
    assert 1 <= int(orientation(bytes(data))) <= 8
    assert 1 <= int(orientation(bytes(data[:at]))) <= 8


def test_decoded_pixels_equal_ingests_pixels():
    for seed, (height, width) in enumerate([(150, 200), (33, 47), (64, 17)]):
        data = pixels.encode_jpeg(generated_image(seed, height, width), 75)
        np.testing.assert_array_equal(decode(tf.constant(data), 1, 10**6)[0].numpy(), inspect.decode_rgb(data))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 12), st.booleans())
def test_the_graph_reads_headers_as_ingest_does(place, size, zeros):
    """Damage anywhere in front of the scan: ingest's header reader and the graph agree on what it means."""
    data = bytearray(with_exif(8))
    at = 2 + place % (bytes(data).index(b"\xff\xda") - 2)
    data[at : at + size] = bytes(size) if zeros else bytes((37 * i + at) % 256 for i in range(size))
    turned, status = FACTS(tf.constant(bytes(data)))
    try:
        header = read_header(bytes(data))
    except RefusedError as error:
        # a damaged frame, or none, is left to the decoder, which raises
        assert int(status) == CORRUPT or "frame" in str(error) or "ends before" in str(error)
    else:
        assert int(turned) == header.orientation
        assert (int(status) == CORRUPT) == (zeroed(bytes(data), header) >= 0)


def test_zeroed_sectors_are_refused_by_ingests_rule():
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    data = bytearray(pixels.encode_jpeg(noise, 95))
    assert int(FACTS(tf.constant(bytes(data)))[1]) == OK
    data[40_000:40_512] = bytes(512)
    assert int(FACTS(tf.constant(bytes(data)))[1]) == CORRUPT


def test_zeros_behind_the_end_are_a_cameras_padding_to_both_readers():
    noise = np.random.default_rng(0).integers(0, 256, (64, 80, 3), dtype=np.uint8)
    padded = pixels.encode_jpeg(noise, 95) + bytes(4096)
    assert inspect.inspect(padded, "x.jpg").verdict == "ok"
    assert int(FACTS(tf.constant(padded))[1]) == OK
    rgb, status = decode(tf.constant(padded), 16, 10**6)
    assert int(status) == OK
    np.testing.assert_array_equal(rgb, inspect.decode_rgb(padded))


def test_what_a_phone_appends_to_the_picture_is_not_part_of_it_to_both_readers():
    noise = np.random.default_rng(0).integers(0, 256, (64, 80, 3), dtype=np.uint8)
    picture = pixels.encode_jpeg(noise, 95)
    appended = picture + bytes(1024) + pixels.encode_jpeg(noise[:32], 80) + b"\xff\xda" * 200 + b"\xff\xd9"
    assert inspect.inspect(appended, "x.jpg").verdict == "ok"
    rgb, status = decode(tf.constant(appended), 16, 10**6)
    assert int(status) == OK
    np.testing.assert_array_equal(rgb, inspect.decode_rgb(picture))


def test_a_progressive_file_with_too_many_scans_is_refused():
    data = with_exif(1)[:-2] + b"\xff\xda" * 101 + b"\xff\xd9"
    assert int(FACTS(tf.constant(data))[1]) == UNSUPPORTED
