"""Kinds of JPEG and PNG beside the common ones: each is read or refused by a rule, never by accident."""

import base64
import io

import cv2
import numpy as np
import pytest
import simplejpeg
from PIL import Image

from components.common.imaging import inspect, pixels
from components.common.runtime.errors import DataError


def scene(height=150, width=200, seed=0):
    """A textured picture without any symmetry."""
    random = np.random.default_rng(seed)
    field = cv2.resize(random.uniform(40, 220, (9, 12, 3)).astype(np.float32), (width, height))
    return np.clip(field + random.normal(0, 6, (height, width, 1)), 0, 255).astype(np.uint8)


JPEG = pixels.encode_jpeg(scene(450, 600), 90)
# 32 x 32 pixels, arithmetically coded: nothing in the environment writes such a file
ARITHMETIC = base64.b85decode(
    "|JeWF01!$>Nk#wx0RR9200961|JwjV01XKW3knDg3knMk4h;_zAQcl55)&sJ9v2`kDKRiEDJ?8BI!Zn>HbyrrEkIX6ModmpQ&KWM"
    "T47pHU`kO^PygEhLjevB4iga*CKVMXPc<zyPft%zPft%zPft%zPft%zPft%zPft%zPft%zPft%zPft%zPft%zPft%zPft%zPf!2J"
    "01*fPAOIi(0U`hb5di}c0sqVZ3IGrg1pyEd1^?Or3<CiG0ucid06zf!&8yyMQ+sXV0x_L(oU48tFUGZ-7l$8lH5SVYJ(g9^jwck)"
    "-#$2{Fz&5S-q_+~07l~K56ISF`KrlvF$fWS!8irA89!mwTn=%3nDHLXq-FI+!tJckO6i3aA{mHYUi~#S3nHg6Js=u@|Je"
)


def verdict(data, name="a.jpg"):
    return inspect.inspect(data, name).verdict


def pillow(array, kind="JPEG", mode=None, **options):
    image = Image.fromarray(array)
    buffer = io.BytesIO()
    (image.convert(mode) if mode else image).save(buffer, kind, **options)
    return buffer.getvalue()


def test_cmyk_and_ycck_with_adobes_marker_are_refused_and_rgb_with_it_is_read():
    cmyk = pillow(scene(), mode="CMYK")
    ycck = simplejpeg.encode_jpeg(np.ascontiguousarray(np.dstack([scene(), scene()[..., 0]])), 90, "CMYK", "444")
    for data, transform in ((cmyk, 0), (ycck, 2)):
        at = data.index(b"\xff\xee")
        assert (data[at + 4 : at + 9], data[at + 15]) == (b"Adobe", transform)
        assert inspect.inspect(data, "a.jpg").reason == "4 colour channels (CMYK); grey and colour are read"
        with pytest.raises(DataError, match="CMYK"):
            inspect.decode_rgb(data)
    kept = pillow(scene(), quality=95, keep_rgb=True)
    assert b"Adobe" in kept
    assert np.abs(inspect.decode_rgb(kept).astype(int) - scene()).mean() < 4


def test_arithmetic_coding_is_refused_since_damage_in_it_cannot_be_seen():
    assert simplejpeg.decode_jpeg(ARITHMETIC, strict=True).shape == (32, 32, 3)  # the decoder would read it
    assert inspect.inspect(ARITHMETIC, "a.jpg").reason == "arithmetic coding; baseline and progressive JPEG are read"
    with pytest.raises(DataError, match="unsupported image: arithmetic coding"):
        inspect.decode_rgb(ARITHMETIC)


@pytest.mark.parametrize(
    ("marker", "precision", "reason"),
    [(0xC3, 8, "lossless JPEG"), (0xC5, 8, "hierarchical JPEG"), (0xCA, 8, "arithmetic coding"),
     (0xC1, 12, "12 bits per sample"), (0xC0, 16, "16 bits per sample")],
)  # fmt: skip
def test_other_codings_are_refused_by_what_the_frame_says(marker, precision, reason):
    at = JPEG.index(b"\xff\xc0")
    data = JPEG[: at + 1] + bytes([marker]) + JPEG[at + 2 : at + 4] + bytes([precision]) + JPEG[at + 5 :]
    seen = inspect.inspect(data, "a.jpg")
    assert (seen.verdict, seen.reason.partition(";")[0]) == ("unsupported", reason)


@pytest.mark.parametrize("sampling", ["444", "422", "420", "440", "411"])
def test_every_sampling_of_colour_is_read(sampling):
    data = simplejpeg.encode_jpeg(scene(), 95, "RGB", sampling)
    assert verdict(data) == "ok"
    assert np.abs(inspect.decode_rgb(data).astype(int) - scene()).mean() < 6


def test_palettes_and_single_bits_are_spelled_out_and_grey_with_alpha_is_refused():
    few = scene()[..., :1].repeat(3, axis=2) // 64 * 64
    palette = pillow(few, "PNG", "P")
    assert (inspect.inspect(palette, "a.png").channels, verdict(palette, "a.png")) == (3, "ok")
    assert (
        np.abs(
            inspect.decode_rgb(palette).astype(int) - np.asarray(Image.fromarray(few).convert("P").convert("RGB"))
        ).max()
        == 0
    )
    bits = pillow(scene()[..., 0], "PNG", "1")
    assert set(np.unique(inspect.decode_rgb(bits))) == {0, 255}
    assert "transparent" in inspect.inspect(pillow(scene()[..., 0], "PNG", "LA"), "a.png").reason
    assert "transparent" in inspect.inspect(pillow(few, "PNG", "P", transparency=0), "a.png").reason
    deep = cv2.imencode(".png", scene()[..., 0].astype(np.uint16) * 257)[1].tobytes()
    assert "16 bits per sample" in inspect.inspect(deep, "a.png").reason


def refining_brightness(data):
    """First and last byte of the passes of a progressive file that hold raw bits of the blocks' means."""
    found, at = [], 2
    while data[at + 1] != 0xD9:
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if data[at + 1] == 0xDA:
            count = data[at + 4]
            start, approximation = data[at + 5 + 2 * count], data[at + 7 + 2 * count]
            stop = end
            while data[stop] != 0xFF or data[stop + 1] == 0:
                stop += 1
            if start == 0 and approximation >> 4:
                found.append((end, stop))
            end = stop
        at = end
    return found


@pytest.mark.parametrize("quality", [60, 95])
def test_zeroed_sectors_of_progressive_files_are_corrupt_but_in_raw_bits_of_brightness(quality):
    data = cv2.imencode(".jpg", scene(450, 600), [1, quality, cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    ((first, last),) = refining_brightness(data)
    for start in range(1024, len(data) - 512, 512):
        if verdict(data[:start] + bytes(512) + data[start + 512 :]) == "ok":
            assert first - 512 < start < last
            damaged = simplejpeg.decode_jpeg(data[:start] + bytes(512) + data[start + 512 :], strict=True)
            assert np.abs(damaged.astype(int) - simplejpeg.decode_jpeg(data)).max() < 12


@pytest.mark.parametrize("margin", [0, 300])
@pytest.mark.parametrize("grey", [0, 37, 255])
def test_flat_and_framed_progressive_pictures_are_no_holes(grey, margin):
    picture = np.full((1200, 1600, 3), grey, np.uint8)
    if margin:
        picture[margin:-margin, margin:-margin] = scene(1200 - 2 * margin, 1600 - 2 * margin)
    data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    assert verdict(data) == "ok"
