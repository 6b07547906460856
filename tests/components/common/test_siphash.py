import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from components.common import siphash as module
from components.common.siphash import KEY, hash_texts, siphash

# Key and texts are the bytes 0, 1, 2, ...; by length of the text. 15 is appendix A of the paper, the others are of
# the authors' vectors.h.
PUBLISHED = {
    0: 0x726FDB47DD0E0E31, 1: 0x74F839C593DC67FD, 2: 0x0D6C8009D9A94F5A, 7: 0xAB0200F58B01D137,
    8: 0x93F5F5799A932462, 15: 0xA129CA6149BE45E5, 63: 0x958A324CEB064572,
}  # fmt: skip

texts = st.lists(st.one_of(st.text(max_size=12), st.text(max_size=200), st.text("ab\0é漢😀", max_size=40)), max_size=60)
DEFAULT = KEY.decode()
keys = st.text("0123456789abcdef", min_size=16, max_size=16)


def of_pandas(values, key=DEFAULT):
    return pd.util.hash_array(np.array([*values, None], object)[:-1], hash_key=key, categorize=False)


def test_the_published_vectors():
    counted = [bytes(range(n)).decode() for n in PUBLISHED]
    assert siphash(counted, bytes(range(16))).tolist() == list(PUBLISHED.values())


@settings(max_examples=300, deadline=None)
@given(texts, keys)
@example(["", "\0", "\0" * 8, "a" * 7, "a" * 8, "a" * 9], DEFAULT)
def test_texts_hash_as_in_pandas(values, key):
    received = hash_texts(values, key.encode())
    assert received.dtype == np.uint64
    assert np.array_equal(received, of_pandas(values, key))


@settings(max_examples=100, deadline=None)
@given(texts, st.data())
def test_any_part_of_any_arrow_array_hashes_as_its_texts(values, data):
    start = data.draw(st.integers(0, len(values)))
    count = data.draw(st.integers(0, len(values) - start))
    for kind in (pa.string(), pa.large_string()):
        array = pa.array(values, kind)
        assert np.array_equal(hash_texts(array.slice(start, count)), of_pandas(values[start : start + count]))
        halves = pa.chunked_array([array[:start], array[start:]], kind)
        assert np.array_equal(hash_texts(halves), of_pandas(values))


@pytest.mark.parametrize("longest", [1, 30, 3000])
def test_more_texts_than_one_chunk(longest, monkeypatch):
    monkeypatch.setattr(module, "_CHUNK", 64)
    random = np.random.default_rng(longest)
    values = ["x" * n + str(n) for n in random.integers(0, longest, 300).tolist()]
    assert np.array_equal(hash_texts(values), of_pandas(values))


@settings(max_examples=60, deadline=None)
@given(texts, st.integers(1, 20))
def test_where_a_chunk_ends_decides_nothing(values, size):
    whole = siphash(values)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_CHUNK", size)
        assert np.array_equal(siphash(values), whole)


def test_every_length_up_to_some_words_from_every_place_in_a_word():
    for before in range(8):
        values = ["." * before, *("é" * (n // 2) + "e" * (n % 2) for n in range(40))]
        assert np.array_equal(hash_texts(values), of_pandas(values))


def test_one_long_text_beside_short_ones():
    values = ["a", "b" * 20_000, "", "c" * 19_993]
    assert np.array_equal(hash_texts(values), of_pandas(values))


def test_the_hash_is_the_same_for_ever():
    # what orders the train records and the groups of a split; a change would move every image
    assert hash_texts(["HAM_0000118", "ISIC_0027419", "ä"]).tolist() == [
        1754815325374526918,
        2326049216422926540,
        169404545344139998,
    ]


def test_equal_texts_hash_alike_wherever_they_stand():
    values = ["a", "HAM_0000118", "", "HAM_0000118", "ä" * 30, "HAM_0000118"]
    received = hash_texts(values)
    assert received[1] == received[3] == received[5]
    assert len(set(received.tolist())) == 4


def test_no_texts():
    for none in ([], pa.array([], pa.string()), pa.chunked_array([], pa.string())):
        assert hash_texts(none).shape == (0,)


def test_keys_and_texts_decide_the_hash():
    values = [f"im{i}" for i in range(5000)]
    one, other = hash_texts(values), hash_texts(values, b"another key here")
    assert len(set(one.tolist())) == len(set(other.tolist())) == 5000
    assert not (one == other).any()


def test_the_input_stays_as_it_is():
    array = pa.array(["one", "two", "three"])
    hash_texts(array)
    assert array.to_pylist() == ["one", "two", "three"]


@pytest.mark.parametrize(
    ("values", "key", "error", "words"),
    [
        (["a"], b"short", ValueError, "key: received 5 bytes, expected 16"),
        (pa.array(["a", None]), KEY, ValueError, "texts: 1 of 2 are missing"),
        (pa.array([1, 2]), KEY, TypeError, "texts: received an Arrow array of int64, expected string or large"),
    ],
)
def test_what_cannot_be_hashed_is_refused(values, key, error, words):
    with pytest.raises(error, match=words):
        hash_texts(values, key)
