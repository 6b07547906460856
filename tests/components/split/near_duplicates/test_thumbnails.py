import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.split.near_duplicates.thumbnails import Pictures

pictures = st.lists(st.binary(max_size=4), max_size=12)


def made(values, cut=4):
    return Pictures(pa.chunked_array([values[:cut], values[cut:]], pa.large_binary()))


@given(pictures, st.integers(-14, 14) | st.none(), st.integers(-14, 14) | st.none())
def test_they_are_the_bytes_in_their_order(values, start, stop):
    whole = made(values)
    assert len(whole) == len(values)
    assert list(whole) == values
    part = whole[start:stop]
    assert isinstance(part, Pictures)
    assert list(part) == values[start:stop]
    assert [part[i] for i in range(len(part))] == values[start:stop]


def test_places_count_from_both_ends_and_end():
    whole = made([b"a", b"b", b"c", b"d", b"e"])
    assert (whole[0], whole[4], whole[-1]) == (b"a", b"e", b"e")
    for at in (5, -6):
        with pytest.raises(IndexError):
            whole[at]


def test_a_step_is_refused():
    with pytest.raises(ValueError, match="received a step of 2, expected 1"):
        made([b"a", b"b"])[::2]
