import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.split import texts as module
from components.split.texts import Encoded, encode, in_order, members, met_twice, repeated, scalar, take

values = st.lists(st.text(st.characters(codec="utf-8"), max_size=3), max_size=40)
words = st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 20), max_size=60)


def column(texts, cut=3):
    return pa.chunked_array([texts[:cut], texts[cut:]], pa.large_string())


def in_more_rows(texts):
    return [i for i, one in enumerate(texts) if texts.count(one) > 1]


@given(values)
def test_numbers_stand_for_the_values(texts):
    codes, names = encode(column(texts))
    assert [names[i].as_py() for i in codes.tolist()] == texts
    assert names.to_pylist() == list(dict.fromkeys(texts))
    assert Encoded(codes, names).first().tolist() == [texts.index(one) for one in names.to_pylist()]


def test_a_missing_value_is_a_value():
    codes, names = encode(column(["a", None, "a", None, ""]))
    assert (codes.tolist(), names.to_pylist()) == ([0, 1, 0, 1, 2], ["a", None, ""])


def test_no_rows_have_no_values():
    codes, names = encode(pa.chunked_array([], pa.large_string()))
    assert len(codes) == len(names) == len(Encoded(codes, names).first()) == 0


@given(values)
def test_rows_that_repeat_are_found(texts):
    assert repeated(column(texts)).tolist() == in_more_rows(texts)


@settings(deadline=None)
@given(values, st.integers(0, 3))
def test_texts_with_one_hash_are_not_taken_for_equal(texts, bits):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "hash_texts", lambda c: np.array([len(one) >> bits for one in c.to_pylist()], np.uint64))
        assert repeated(column(texts)).tolist() == in_more_rows(texts)


@given(words, words)
def test_members_are_found_with_their_place(some, others):
    of = np.unique(np.array(others, np.uint64))
    rows, at = members(np.array(some, np.uint64), of)
    assert rows.tolist() == [i for i, one in enumerate(some) if one in others]
    assert of[at].tolist() == [one for one in some if one in others]


@given(words)
def test_numbers_met_twice(some):
    assert sorted(set(met_twice(np.array(some, np.uint64)).tolist())) == sorted({x for x in some if some.count(x) > 1})


@given(values)
def test_texts_are_sorted_as_python_sorts_them(texts):
    order = in_order(column(texts))
    expected = sorted(range(len(texts)), key=texts.__getitem__)
    assert expected == (list(range(len(texts))) if order is None else order.tolist())
    if texts != sorted(texts):
        assert order is not None


def test_rows_are_taken_from_columns_and_tables():
    table = pa.table({"a": column(list("wxyz"))})
    for at in (np.array([3, 0, 3]), np.array([3, 0, 3], np.int32), np.array([3, 0, 3], np.uint64)):
        assert take(table["a"], at).to_pylist() == take(table, at)["a"].to_pylist() == ["z", "w", "z"]


@given(values.filter(bool), st.data())
def test_few_rows_are_taken_as_many_are(texts, data):
    at = data.draw(st.lists(st.integers(0, len(texts) - 1), max_size=8))
    many = column(texts * 10)
    for values_ in (column(texts), many, many.combine_chunks()):
        assert take(values_, np.array(at, np.int64)).to_pylist() == [texts[i] for i in at]


def test_a_text_to_compare_with_is_as_wide_as_the_columns():
    assert scalar("ok").equals(pa.scalar("ok", pa.large_string()))
