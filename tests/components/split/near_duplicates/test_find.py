import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.common.imaging.thumbnail import make_thumbnail
from components.split.near_duplicates.find import Pairs, equal_rows, find_pairs

hashes = st.lists(st.sampled_from(["", "a", "b", "c", "ä", None]), max_size=15)


def listed(pairs):
    return list(zip(pairs.left.tolist(), pairs.right.tolist(), strict=True))


def first_of_each(values):
    known = [one for one in values if one]
    return {(values.index(one), i) for i, one in enumerate(values) if one in known and values.index(one) != i}


def test_equal_bytes_and_equal_hashes_are_pairs_and_unreadable_rows_are_not():
    rows = pd.DataFrame({"sha256": ["a", "b", "a", "", "a", ""], "phash": ["1", "2", "1", "", "1", ""]})
    pairs = find_pairs(rows)
    assert listed(pairs) == [(0, 2), (0, 4)]
    assert pairs.distance.tolist() == [0.0, 0.0]
    assert pairs.distance.dtype == np.float32


@settings(max_examples=200, deadline=None)
@given(hashes, st.data())
def test_every_later_copy_is_paired_with_the_first(sha256, data):
    phash = data.draw(st.lists(st.sampled_from(["", "1", "2"]), min_size=len(sha256), max_size=len(sha256)))
    frame = pd.DataFrame({"sha256": pd.Series(sha256, dtype="str"), "phash": pd.Series(phash, dtype="str")})
    pairs = find_pairs(frame)
    assert set(listed(pairs)) == first_of_each(sha256) | first_of_each(phash)
    assert listed(pairs) == sorted(set(listed(pairs)))
    assert (pairs.left < pairs.right).all()


@pytest.fixture(scope="module")
def picture():
    random = np.random.default_rng(3)
    return np.kron(random.integers(0, 255, (12, 16, 3)), np.ones((8, 8, 1))).astype(np.uint8)


def test_copies_of_copies_are_looked_at_once(picture):
    one, other = make_thumbnail(picture), make_thumbnail(np.ascontiguousarray(picture[::-1]))
    table = {"sha256": ["a", "a", "b", "c", "d"], "phash": [""] * 5, "thumbnail": [one, one, other, b"", None]}
    rows = pd.DataFrame(table, index=[7, 3, 9, 1, 5])  # pairs are numbers of rows, not their labels
    assert set(listed(find_pairs(rows))) == {(0, 1), (0, 2)}


def test_rows_are_joined_to_the_first_of_their_value_and_by_no_missing_one():
    left, right = equal_rows(pd.Series(["", "x", None, "y", "x", "", None, "x"], index=list("hgfedcba")))
    assert list(zip(left.tolist(), right.tolist(), strict=True)) == [(1, 4), (1, 7)]


def test_pairs_of_kept_rows_are_numbers_of_the_kept_rows():
    pairs = Pairs(np.array([0, 1, 2]), np.array([3, 4, 3]), np.array([0.1, 0.2, 0.3], np.float32))
    kept = pairs.among(np.array([False, True, True, True, True]))
    assert listed(kept) == [(0, 3), (1, 2)]
    assert kept.distance.tolist() == pytest.approx([0.2, 0.3])
