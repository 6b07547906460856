import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from components.split.groups import equal_rows, group_ids

NONE = np.zeros(0, np.int64)


def by_hand(lesion, left, right):
    group = list(lesion)
    for _ in lesion:
        for a, b in [*zip(left, right, strict=True), *((lesion.index(one), i) for i, one in enumerate(lesion))]:
            group[a] = group[b] = min(group[a], group[b])
    return group


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text("abcäß漢😀\ue000", min_size=1, max_size=2), min_size=1, max_size=25), st.data())
def test_groups_are_those_found_by_hand(lesion, data):
    row = st.integers(0, len(lesion) - 1)
    pairs = np.array(data.draw(st.lists(st.tuples(row, row), max_size=20)), np.int64).reshape(-1, 2)
    assert group_ids(pd.Series(lesion), *pairs.T).tolist() == by_hand(lesion, *pairs.T.tolist())


def test_a_joined_group_has_the_alphabetically_first_lesion():
    lesion = pd.Series(["c", "b", "b", "a", "z"])
    assert group_ids(lesion, np.array([0, 1]), np.array([2, 2])).tolist() == ["b", "b", "b", "a", "z"]
    assert group_ids(lesion, np.array([1]), np.array([2])).tolist() == lesion.tolist()
    assert group_ids(lesion, NONE, NONE).tolist() == lesion.tolist()


def test_lesions_chain_over_shared_pictures():
    lesion = pd.Series(["a", "a", "b", "b", "c", "d"])  # a1 looks like b0, b1 like c0
    assert group_ids(lesion, np.array([1, 3]), np.array([2, 4])).tolist() == ["a", "a", "a", "a", "a", "d"]


def test_groups_keep_the_labels_of_their_rows():
    lesion = pd.Series(["b", "a", "b"], index=[30, 10, 20])
    assert group_ids(lesion, np.array([0]), np.array([1])).to_dict() == {30: "a", 10: "a", 20: "a"}


def test_rows_are_joined_to_the_first_of_their_value_and_by_no_missing_one():
    left, right = equal_rows(pd.Series(["", "x", None, "y", "x", "", None, "x"], index=list("hgfedcba")))
    assert list(zip(left.tolist(), right.tolist(), strict=True)) == [(1, 4), (1, 7)]
