import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from components.split.groups import connected_components, group_ids


def texts(values):
    return pa.chunked_array([values[:2], values[2:]], pa.large_string())


def by_hand(n, left, right):
    group = list(range(n))
    for _ in range(n):
        for a, b in zip(left, right, strict=True):
            group[a] = group[b] = min(group[a], group[b])
    return group


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 25), st.data())
def test_components_are_those_found_by_hand(n, data):
    edges = data.draw(st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=40))
    left, right = (np.array([e[i] for e in edges], np.int64) for i in (0, 1))
    assert connected_components(n, left, right).tolist() == by_hand(n, left, right)


def test_a_long_chain_takes_few_passes():
    n = 200_000
    order = np.random.default_rng(0).permutation(n)
    assert (connected_components(n, order[:-1], order[1:]) == 0).all()


def test_a_joined_group_has_the_alphabetically_first_lesion():
    lesion = texts(["c", "b", "b", "a", "z"])
    assert group_ids(lesion, np.array([0, 1]), np.array([2, 2])).to_pylist() == ["b", "b", "b", "a", "z"]
    assert group_ids(lesion, np.array([1]), np.array([2])).to_pylist() == lesion.to_pylist()
    none = np.zeros(0, np.int64)
    assert group_ids(lesion, none, none).to_pylist() == lesion.to_pylist()


def test_lesions_chain_over_shared_pictures():
    lesion = texts(["a", "a", "b", "b", "c", "d"])  # a1 looks like b0, b1 like c0
    assert group_ids(lesion, np.array([1, 3]), np.array([2, 4])).to_pylist() == ["a", "a", "a", "a", "a", "d"]
