"""The check accepts every whole image and no broken one; pixels come out upright, in RGB, at the right size."""

import io
import struct
import tracemalloc
import zlib
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
import simplejpeg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from components.common.imaging import inspect, pixels
from components.common.imaging.jpeg import exif_orientation
from components.common.imaging.thumbnail import read_thumbnail
from components.common.runtime.errors import DataError

REAL = Path(__file__).parents[5] / "shared" / "ham10000"


def scene(height=150, width=200, seed=0):
    """A textured picture without any symmetry."""
    random = np.random.default_rng(seed)
    field = cv2.resize(random.uniform(40, 220, (9, 12, 3)).astype(np.float32), (width, height))
    return np.clip(field + random.normal(0, 6, (height, width, 1)), 0, 255).astype(np.uint8)


def png(array, flags=()):
    return cv2.imencode(".png", array, list(flags))[1].tobytes()


def with_exif(data, orientation, order="MM"):
    mark = "<" if order == "II" else ">"
    tiff = order.encode() + struct.pack(mark + "HIHHHIHHI", 42, 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    body = b"Exif\0\0" + tiff
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:]


JPEG = pixels.encode_jpeg(scene(450, 600), 90)


def verdict(data, name="a.jpg"):
    return inspect.inspect(data, name).verdict


def test_a_whole_jpeg_is_ok_and_described():
    seen = inspect.inspect(JPEG, "a.JPG")
    assert (seen.verdict, seen.reason, seen.format) == ("ok", "", "jpeg")
    assert (seen.width, seen.height, seen.channels, seen.orientation) == (600, 450, 3, 1)
    assert len(seen.phash) == 16
    assert read_thumbnail(seen.thumbnail).shape == (48, 64, 3)


@pytest.mark.parametrize("cut", [1, 2, 3, 4, 20, 200, 600, 1000, len(JPEG) // 2, len(JPEG) - 600, len(JPEG) - 1])
def test_a_cut_jpeg_is_corrupt(cut):
    assert verdict(JPEG[:cut]) == "corrupt"


def test_every_truncation_is_corrupt():
    small = pixels.encode_jpeg(scene(40, 60), 60)
    assert {verdict(small[:cut]) for cut in range(len(small))} == {"corrupt"}


@pytest.mark.parametrize("filling", ["zeros", "random"])
def test_every_hole_of_4096_bytes_is_corrupt(filling):
    random = np.random.default_rng(1)
    for start in range(800, len(JPEG) - 4096, 1500):
        hole = bytes(4096) if filling == "zeros" else random.bytes(4096)
        assert verdict(JPEG[:start] + hole + JPEG[start + 4096 :]) == "corrupt", start


def test_every_zeroed_sector_is_corrupt():
    for start in range(1024, len(JPEG) - 512, 512):
        assert verdict(JPEG[:start] + bytes(512) + JPEG[start + 512 :]) == "corrupt", start


def test_a_flat_picture_of_an_optimising_encoder_is_not_a_hole():
    flat = np.full((1200, 1200, 3), 120, np.uint8)
    data = cv2.imencode(".jpg", flat, [cv2.IMWRITE_JPEG_OPTIMIZE, 1])[1].tobytes()
    assert bytes(256) in data
    assert verdict(data) == "ok"


def second_picture():
    """A JPEG whose metadata holds two thousand zeros."""
    small = pixels.encode_jpeg(scene(60, 80, 5), 90)
    body = b"Exif\0\0MM\0*" + bytes(2000)
    return small[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + small[2:]


APPENDED = {
    "padding": bytes(4096),
    "a second picture": pixels.encode_jpeg(scene(60, 80, 5), 90),
    "padding and a second picture": bytes(4096) + second_picture(),
    "a gain map's metadata": second_picture(),
    "a movie": b"\0\0\0\x18ftypmp42" + b"\xff\xda\0\0" * 500 + bytes(3000) + b"\xff\xd9",
}


@pytest.mark.parametrize("progressive", [0, 1])
@pytest.mark.parametrize("what", APPENDED)
def test_what_follows_the_end_of_a_picture_is_not_part_of_it(what, progressive):
    whole = cv2.imencode(".jpg", scene(300, 400), [cv2.IMWRITE_JPEG_PROGRESSIVE, progressive])[1].tobytes()
    seen = inspect.inspect(whole + APPENDED[what], "a.jpg")
    assert seen == inspect.inspect(whole, "a.jpg")
    assert seen.verdict == "ok"
    assert (inspect.decode_rgb(whole + APPENDED[what]) == inspect.decode_rgb(whole)).all()


@pytest.mark.parametrize("what", APPENDED)
def test_damage_inside_a_picture_is_found_whatever_follows_it(what):
    for start in range(1024, len(JPEG) - 512, 2048):
        damaged = JPEG[:start] + bytes(512) + JPEG[start + 512 :]
        assert verdict(damaged + APPENDED[what]) == "corrupt", start
    for cut in range(800, len(JPEG), 3000):
        assert verdict(JPEG[:cut] + APPENDED[what]) == "corrupt", cut


@pytest.mark.parametrize("options", [[cv2.IMWRITE_JPEG_PROGRESSIVE, 1], [cv2.IMWRITE_JPEG_RST_INTERVAL, 8]])
def test_progressive_and_restart_files_are_ok_whole_and_corrupt_cut(options):
    data = cv2.imencode(".jpg", scene(), options)[1].tobytes()
    assert verdict(data) == "ok"
    assert verdict(data[: len(data) * 3 // 4]) == "corrupt"


@pytest.mark.parametrize(
    ("data", "name", "expected", "reason"),
    [
        (b"", "a.jpg", "corrupt", "the file is empty"),
        (bytes(5000), "a.jpg", "corrupt", "only zeros"),
        (b"<html>not found</html>", "a.jpg", "corrupt", "the content is a web page; download the file"),
        (b"\xff\xd8\xff", "a.jpg", "corrupt", "the file ends before its image data"),
        (png(scene()), "a.jpg", "mislabelled", "the content is png, the name says jpeg"),
        (JPEG, "a.png", "mislabelled", "the content is jpeg, the name says png"),
        (b"BM" + bytes(60), "a.bmp", "unsupported", "format bmp"),
        (b"II*\0" + bytes(60), "a.tiff", "unsupported", "format tiff"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "a.webp", "unsupported", "format webp"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "a.jpg", "mislabelled", "the content is webp"),
        (pixels.encode_jpeg(scene(10, 40), 90), "a.jpg", "unsupported", "the shorter side must have 16"),
        (pixels.encode_jpeg(scene(16, 641), 90), "a.jpg", "unsupported", "641 x 16 pixels; one side may be 40 times"),
        (png(scene(70_000, 16)), "a.png", "unsupported", "16 x 70000 pixels; one side may be 40 times"),
    ],
)
def test_what_is_not_a_usable_image_is_named(data, name, expected, reason):
    seen = inspect.inspect(data, name)
    assert seen.verdict == expected
    assert reason in seen.reason
    assert (seen.phash, seen.thumbnail) == ("", b"")


def test_cmyk_is_refused_and_grey_becomes_three_equal_channels():
    inks = np.dstack([scene(), np.full((150, 200), 255, np.uint8)])
    cmyk = simplejpeg.encode_jpeg(np.ascontiguousarray(inks), 90, "CMYK", "444")
    seen = inspect.inspect(cmyk, "a.jpg")
    assert (seen.verdict, seen.channels) == ("unsupported", 4)
    grey = cv2.imencode(".jpg", scene()[:, :, 0])[1].tobytes()
    assert (inspect.inspect(grey, "a.jpg").verdict, inspect.inspect(grey, "a.jpg").channels) == ("ok", 1)
    rgb = inspect.decode_rgb(grey)
    assert rgb.shape == (150, 200, 3) and (rgb[..., 0] == rgb[..., 2]).all()


@pytest.mark.parametrize("order", ["MM", "II"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_once(orientation, order):
    stored = scene(120, 160)
    data = with_exif(pixels.encode_jpeg(stored, 95), orientation, order)
    seen = inspect.inspect(data, "a.jpg")
    assert (seen.verdict, seen.orientation) == ("ok", orientation)
    assert (seen.width, seen.height) == ((120, 160) if orientation >= 5 else (160, 120))
    rgb = inspect.decode_rgb(data)
    assert rgb.shape[:2] == (seen.height, seen.width)
    by_opencv = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert np.abs(rgb.astype(int) - by_opencv).mean() < 1.0
    assert (int(seen.phash, 16) ^ pixels.perceptual_hash(rgb)).bit_count() <= 4


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("kind", "code"), [(1, "B"), (3, "H"), (4, "I"), (6, "b"), (8, "h"), (9, "i")])
def test_orientation_is_read_from_any_integer_type(kind, code, order):
    value = struct.pack(order + code, 6).ljust(4, b"\0")
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HIHHHI", 42, 8, 1, 0x0112, kind, 1)
    assert exif_orientation(head + value) == 6
    assert exif_orientation(head + struct.pack(order + code, 9).ljust(4, b"\0")) == 1


def test_orientation_of_a_type_that_is_not_an_integer_means_upright():
    assert exif_orientation(b"MM\0*" + struct.pack(">IHHHIf", 8, 1, 0x0112, 11, 1, 6.0)) == 1


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", 1),
        (b"II", 1),
        (b"MM\0*\xff\xff\xff\xff", 1),
        (b"XX\0*\0\0\0\x08", 1),
        (b"MM\0*\0\0\0\x08\0\x01\x01\x12", 1),
    ],
)
def test_a_damaged_exif_block_means_upright(value, reason):
    assert exif_orientation(value) == reason


def test_orientation_zero_and_nine_mean_upright():
    for wrong in (0, 9):
        assert inspect.inspect(with_exif(JPEG, wrong), "a.jpg").orientation == 1


@pytest.mark.parametrize("shape", [(150, 200, 3), (150, 200), (33, 47, 3)])
def test_png_is_decoded_without_loss(shape):
    pixels = scene(*shape[:2])
    pixels = pixels if len(shape) == 3 else pixels[..., 0]
    data = png(pixels)
    seen = inspect.inspect(data, "a.png")
    assert (seen.verdict, seen.format, seen.channels) == ("ok", "png", 3 if len(shape) == 3 else 1)
    expected = pixels[..., ::-1] if len(shape) == 3 else np.dstack([pixels] * 3)
    assert (inspect.decode_rgb(data) == expected).all()


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (np.zeros((40, 40, 4), np.uint8), "transparent"),
        (np.zeros((40, 40, 3), np.uint16), "16 bits"),
    ],
)
def test_png_that_must_be_guessed_is_refused(pixels, reason):
    seen = inspect.inspect(png(pixels), "a.png")
    assert seen.verdict == "unsupported"
    assert reason in seen.reason
    with pytest.raises(DataError, match="unsupported image"):
        inspect.decode_rgb(png(pixels))


def test_every_cut_png_and_every_changed_byte_of_one_is_found():
    data = png(scene(24, 32))
    assert {verdict(data[:cut], "a.png") for cut in range(len(data))} == {"corrupt"}
    changed = {verdict(data[:i] + bytes([data[i] ^ 0x10]) + data[i + 1 :], "a.png") for i in range(len(data))}
    assert changed == {"corrupt"}


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def test_bombs_are_refused_before_they_are_decoded():
    head = struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0)
    bomb = (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(10**6))) + chunk(b"IEND", b"")
    )
    assert "at most 100 megapixels" in inspect.inspect(bomb, "a.png").reason
    at = JPEG.index(b"\xff\xc0") + 5
    huge = JPEG[:at] + struct.pack(">HH", 65000, 65000) + JPEG[at + 4 :]
    assert "at most 100 megapixels" in inspect.inspect(huge, "a.jpg").reason
    progressive = cv2.imencode(".jpg", scene(), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    many = progressive[:-2] + b"\xff\xda\0\0" * 500 + progressive[-2:]
    assert "scans; at most" in inspect.inspect(many, "a.jpg").reason
    assert verdict(JPEG[:-2] + b"\xff\xda\0\0" * 500 + JPEG[-2:]) == "corrupt"  # no further scan is ever decoded


def test_a_png_that_unpacks_to_more_than_it_says_is_decoded_to_its_size_and_no_further():
    packer = zlib.compressobj(9)
    pixels_and_more = b"".join(packer.compress(bytes(2**20)) for _ in range(100)) + packer.flush()
    head = struct.pack(">IIBBBBB", 20, 20, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels_and_more) + chunk(b"IEND", b"")
    tracemalloc.start()
    try:
        assert inspect.inspect(bomb, "a.png").verdict == "ok"
        assert tracemalloc.get_traced_memory()[1] < 2**21
    finally:
        tracemalloc.stop()


def test_interlaced_png_is_ok():
    data = interlaced(scene(21, 35))
    assert verdict(data, "a.png") == "ok"
    assert (inspect.decode_rgb(data) == scene(21, 35)).all()


def interlaced(rgb):
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    raw = b"".join(b"\0" + row.tobytes() for y, x, dy, dx in passes for row in rgb[y::dy, x::dx] if row.size)
    head = struct.pack(">IIBBBBB", rgb.shape[1], rgb.shape[0], 8, 2, 0, 0, 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


@given(data=st.binary(max_size=400), start=st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", JPEG[:700]]))
@settings(max_examples=300, deadline=None)
def test_any_bytes_get_a_verdict(data, start):
    for name in ("a.jpg", "a.png", "a"):
        seen = inspect.inspect(start + data, name)
        assert seen.verdict in ("corrupt", "mislabelled", "unsupported")
        assert seen.reason
    with pytest.raises(DataError):
        inspect.decode_rgb(start + data)


@given(place=st.integers(0, 10**6), value=st.integers(0, 255), length=st.integers(1, 300))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_damage_anywhere_never_crashes(place, value, length):
    small = with_exif(pixels.encode_jpeg(scene(60, 80), 75), 6)
    place %= len(small)
    damaged = small[:place] + bytes([value]) * length + small[place + length :]
    assert inspect.inspect(damaged, "a.jpg").verdict in ("ok", "corrupt", "unsupported")


@pytest.mark.parametrize(
    ("size", "short", "expected"),
    [
        ((450, 600), 144, (144, 192)),
        ((600, 450), 144, (192, 144)),
        ((150, 200), 224, (150, 200)),
        ((100, 333), 50, (50, 167)),
    ],
)
def test_shrink_keeps_the_aspect_and_never_enlarges(size, short, expected):
    assert pixels.shrunk_size(*size, short) == expected
    assert pixels.shrink(scene(*size), short).shape == (*expected, 3)


def test_shrink_is_antialiased():
    stripes = np.zeros((200, 200, 3), np.uint8)
    stripes[:, ::2] = 255
    assert np.abs(pixels.shrink(stripes, 50).astype(int) - 128).max() <= 1


def test_quality_decides_the_size_and_bytes_are_the_same_each_time():
    rgb = scene()
    assert len(pixels.encode_jpeg(rgb, 50)) < len(pixels.encode_jpeg(rgb, 90)) < len(pixels.encode_jpeg(rgb, 98))
    assert pixels.encode_jpeg(rgb, 90) == pixels.encode_jpeg(rgb.copy(), 90)


def test_a_hash_survives_recoding_and_tells_pictures_apart():
    rgb = scene()
    own = pixels.perceptual_hash(rgb)
    again = inspect.decode_rgb(pixels.encode_jpeg(rgb, 50))
    assert (own ^ pixels.perceptual_hash(again)).bit_count() <= 4
    assert (own ^ pixels.perceptual_hash(pixels.shrink(rgb, 50))).bit_count() <= 4
    others = [(own ^ pixels.perceptual_hash(scene(seed=seed))).bit_count() for seed in range(1, 20)]
    assert min(others) > 12


@pytest.mark.real
@pytest.mark.skipif(not REAL.is_dir(), reason=f"no reference data at {REAL}")
def test_real_images_are_ok_whole_and_never_when_damaged():
    random = np.random.default_rng(3)
    files = sorted(REAL.glob("*/*.jpg"))[::50]
    for path in files:
        data = path.read_bytes()
        assert verdict(data) == "ok", path
        cut = int(random.integers(0, len(data)))
        assert verdict(data[:cut]) == "corrupt", (path, cut)
        start = 512 * int(random.integers(2, len(data) // 512))
        assert verdict(data[:start] + bytes(512) + data[start + 512 :]) == "corrupt", (path, start)


@pytest.mark.parametrize(("kind", "options", "least"), [
    ("PNG", {}, 6), ("JPEG", {}, 1 / 64), ("JPEG", {"progressive": True}, 3),
])  # fmt: skip
def test_inspect_asks_for_the_room_that_decoding_takes(kind, options, least):
    asked, held = [], []

    @contextmanager
    def room(size):
        asked.append(size)
        held.append("in")
        yield
        held.append("out")

    buffer = io.BytesIO()
    Image.fromarray(np.zeros((200, 300, 3), np.uint8)).save(buffer, kind, **options)
    name = f"a.{kind.lower()}"
    assert inspect.inspect(buffer.getvalue(), name, room) == inspect.inspect(buffer.getvalue(), name)
    assert held == ["in", "out"]
    assert least * 60_000 <= asked[0] <= 8 * 60_000
    inspect.inspect(b"\0" * 99, name, room)
    inspect.inspect(buffer.getvalue(), "a.gif", room)
    assert len(asked) == 1  # what is refused before it is decoded needs none


@pytest.mark.parametrize("shape", [(600, 450), (97, 1203), (1, 300)])
def test_hashing_in_stripes_finds_the_same_frequencies(shape, monkeypatch):
    grey = cv2.resize(np.random.default_rng(1).uniform(0, 255, (5, 6)).astype(np.float32), shape[::-1]).astype(np.uint8)
    whole = pixels.perceptual_hash(grey)
    monkeypatch.setattr(pixels, "_STRIPE", 1)
    assert (whole ^ pixels.perceptual_hash(grey)).bit_count() <= 1  # a frequency that is zero may round either way


def test_the_longest_strip_is_read():
    assert inspect.inspect(pixels.encode_jpeg(scene(16, 640), 90), "a.jpg").verdict == "ok"
