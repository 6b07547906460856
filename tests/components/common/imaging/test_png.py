"""A PNG is read only if every chunk of it is intact, and its size is known before anything is decoded."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from components.common.imaging.inspect import decode_rgb, inspect
from components.common.imaging.kinds import RefusedError
from components.common.imaging.png import decode, read_header


def saved(**options):
    pixels = np.random.default_rng(0).integers(0, 255, (24, 32, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", **options)
    return buffer.getvalue(), pixels


def with_header(width, height, depth=8, colour=2):
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head)) + bytes(40)


@pytest.mark.parametrize(("width", "height"), [(2**31, 20), (20, 2**32 - 1), (0, 20)])
def test_sides_that_the_format_does_not_have_are_damage(width, height):
    with pytest.raises(RefusedError, match=f"the image header says {width} x {height}"):
        read_header(with_header(width, height))
    assert read_header(with_header(2**31 - 1, 20)).width == 2**31 - 1


def test_a_header_with_a_wrong_checksum_says_nothing_about_the_size():
    data = bytearray(with_header(50_000, 50_000))
    data[29] ^= 1
    assert inspect(bytes(data), "a.png").reason == "the image header has a wrong CRC"


def test_pixels_chunks_and_end_are_checked():
    data, pixels = saved()
    assert (decode(data) == pixels).all()
    assert (decode(data + b"anything behind the end") == pixels).all()
    for damaged in (data[:-1], data[:-12], data[: len(data) // 2], data[:400] + b"\0" * 8 + data[408:]):
        with pytest.raises(RefusedError):
            decode(damaged)


def test_a_large_picture_is_copied_in_bands():
    pixels = np.random.default_rng(0).integers(0, 255, (5000, 450, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    assert (decode(buffer.getvalue()) == pixels).all()


def test_transparency_and_orientation_are_refused_wherever_they_stand():
    data, _ = saved(transparency=(1, 2, 3))
    assert "transparent" in inspect(data, "a.png").reason
    exif = Image.Exif()
    exif[0x0112] = 6
    data, _ = saved(exif=exif)
    assert inspect(data, "a.png").reason == "a PNG with EXIF orientation 6; save it upright"
    at, end = data.index(b"eXIf") - 4, data.index(b"IEND") - 4
    size = 12 + int.from_bytes(data[at : at + 4], "big")
    moved = data[:at] + data[at + size : end] + data[at : at + size] + data[end:]  # behind the pixels
    assert inspect(moved, "a.png").reason == "a PNG with EXIF orientation 6; save it upright"


def test_metadata_does_not_stop_a_picture_from_being_read():
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta tiff:Orientation='6'/>")
    text.add_text("comment", "x" * 50_000, zip=True)
    data, pixels = saved(pnginfo=text, icc_profile=b"not a profile", dpi=(300, 300))
    assert inspect(data, "a.png").verdict == "ok"
    assert (decode_rgb(data) == pixels).all()
