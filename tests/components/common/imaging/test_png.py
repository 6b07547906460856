"""The compressed pixels of a PNG are checked in small steps, with the verdict of inflating them in one go."""

import itertools
import struct
import tracemalloc
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.common.imaging.png import SIGNATURE, DamagedPngError, check_pixels, read_png


def png(width, height, pieces, colour=0):
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0))]
    chunks += [(b"IDAT", piece) for piece in pieces] + [(b"IEND", b"")]
    return SIGNATURE + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def cut(data, places):
    ends = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(ends)]


def sound(pieces, expected):
    """The verdict by inflating everything at once."""
    stream = zlib.decompressobj()
    try:
        received = stream.decompress(b"".join(pieces))
    except zlib.error:
        return False
    return len(received) == expected and stream.eof


@st.composite
def streams(draw):
    """A size in pixels and pieces of a stream that holds them, or a byte more or less, or is cut or changed."""
    width, height = draw(st.integers(1, 900)), draw(st.integers(1, 900))
    length = max(0, height * (width + 1) + draw(st.sampled_from([0, 0, 0, -1, 1, 400])))
    raw = draw(st.binary(min_size=1, max_size=40))
    data = bytearray(zlib.compress((raw * (length // len(raw) + 1))[:length], draw(st.integers(0, 9))))
    kind = draw(st.sampled_from(["whole", "whole", "cut", "changed", "longer"]))
    if kind == "cut":
        del data[draw(st.integers(0, len(data))) :]
    elif kind == "changed":
        data[draw(st.integers(0, len(data) - 1))] ^= 1 << draw(st.integers(0, 7))
    elif kind == "longer":
        data += draw(st.binary(max_size=30))
    return width, height, cut(bytes(data), draw(st.lists(st.integers(0, 10**6), max_size=6)))


@given(streams())
@settings(max_examples=300, deadline=None)
def test_any_stream_is_judged_as_when_inflated_at_once(stream):
    width, height, pieces = stream
    header = read_png(png(width, height, pieces))
    if sound(pieces, height * (width + 1)):
        check_pixels(header)
    else:
        with pytest.raises(DamagedPngError):
            check_pixels(header)


@pytest.mark.parametrize("count", [1, 7, 5000])
def test_the_memory_of_the_check_does_not_follow_the_image(count):
    packer, row = zlib.compressobj(1), bytes(4001)
    data = b"".join(packer.compress(row) for _ in range(6000)) + packer.flush()
    header = read_png(png(4000, 6000, cut(data, range(0, len(data), -(-len(data) // count)))))
    tracemalloc.start()
    try:
        check_pixels(header)
        assert tracemalloc.get_traced_memory()[1] < 2**20  # 24 MB come out
    finally:
        tracemalloc.stop()


def test_a_bomb_behind_a_small_header_is_left_as_soon_as_there_is_too_much():
    packer = zlib.compressobj(9)
    data = b"".join(packer.compress(bytes(2**20)) for _ in range(200)) + packer.flush()
    with pytest.raises(DamagedPngError, match="give 421 bytes, 420 are needed"):
        check_pixels(read_png(png(20, 20, [data])))


@pytest.mark.parametrize(("width", "height"), [(2**31, 20), (20, 2**32 - 1), (0, 20)])
def test_sides_that_the_format_does_not_have_are_damage(width, height):
    with pytest.raises(DamagedPngError, match=f"the image header says {width} x {height}"):
        read_png(png(width, height, [b"x"]))
    assert read_png(png(2**31 - 1, 20, [b"x"])).width == 2**31 - 1
