import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.common.runtime.errors import DataError
from components.split.config import SplitConfig
from components.split.groups import describe_groups, group_ids, grouping_columns
from components.split.near_duplicates.find import Pairs


def pairs(*edges):
    left, right = np.array(edges, np.int64).reshape(-1, 2).T
    return Pairs(left, right, np.zeros(len(edges), np.float32))


def groups_of(table, *edges):
    return group_ids(pd.DataFrame(table), list(table), pairs(*edges)).tolist()


def by_hand(table, edges):
    lesion = table["lesion_id"]
    joined = [
        (a, b)
        for values in table.values()
        for b, one in enumerate(values)
        for a in range(b)
        if one and one == values[a]
    ] + edges
    group = list(lesion)
    for _ in lesion:
        for a, b in joined:
            group[a] = group[b] = min(group[a], group[b])
    return group


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text("abcäß漢😀\ue000", min_size=1, max_size=2), min_size=1, max_size=20), st.data())
def test_groups_are_those_found_by_hand(lesion, data):
    n = len(lesion)
    row = st.integers(0, n - 1)
    patient = data.draw(st.lists(st.sampled_from(["", "", "p", "q", "r"]), min_size=n, max_size=n))
    edges = data.draw(st.lists(st.tuples(row, row), max_size=8))
    table = {"lesion_id": lesion, "patient_id": patient}
    assert groups_of(table, *edges) == by_hand(table, edges)


def test_a_joined_group_has_the_alphabetically_first_lesion():
    lesion = ["c", "b", "b", "a", "z"]
    assert groups_of({"lesion_id": lesion}, (0, 2), (1, 2)) == ["b", "b", "b", "a", "z"]
    assert groups_of({"lesion_id": lesion}, (1, 2)) == groups_of({"lesion_id": lesion}) == lesion
    assert group_ids(pd.DataFrame({"lesion_id": lesion}), ["lesion_id"], None).tolist() == lesion


def test_lesions_chain_over_shared_pictures():
    lesion = ["a", "a", "b", "b", "c", "d"]  # a1 looks like b0, b1 like c0
    assert groups_of({"lesion_id": lesion}, (1, 2), (3, 4)) == ["a", "a", "a", "a", "a", "d"]


def test_patients_join_their_lesions_and_a_picture_joins_two_patients():
    table = {"lesion_id": list("abcdef"), "patient_id": ["p", "p", "q", "", "", "q"]}
    assert groups_of(table) == ["a", "a", "c", "d", "e", "c"]
    assert groups_of(table, (1, 2)) == ["a", "a", "a", "d", "e", "a"]


def test_groups_keep_the_labels_of_their_rows():
    rows = pd.DataFrame({"lesion_id": ["b", "a", "b"]}, index=[30, 10, 20])
    assert group_ids(rows, ["lesion_id"], pairs((0, 1))).to_dict() == {30: "a", 10: "a", 20: "a"}


@pytest.mark.parametrize(
    ("config", "columns"),
    [
        ({}, ["lesion_id", "patient_id"]),
        ({"group_by": []}, ["lesion_id"]),
        ({"group_by": ["Family", "patient_id"]}, ["lesion_id", "family", "patient_id"]),
        ({"recipe": "reference"}, ["lesion_id"]),
    ],
)
def test_patients_count_where_the_table_has_them_and_nothing_else_was_asked(config, columns):
    index = pd.DataFrame({"image_id": [], "lesion_id": [], "patient_id": [], "family": []})
    assert grouping_columns(SplitConfig(**config), index) == columns


def test_a_column_that_is_not_there_is_named():
    index = pd.DataFrame({"image_id": [], "lesion_id": []})
    assert grouping_columns(SplitConfig(), index) == ["lesion_id"]
    with pytest.raises(DataError, match=r"^group_by: the index has no column case; it has image_id, lesion_id$"):
        grouping_columns(SplitConfig(group_by=["case"]), index)


def test_groups_are_described():
    table = {"image_id": list("abcde"), "lesion_id": ["L1", "L1", "c", "d", "e"], "patient_id": ["p", "p", "p", "", ""]}
    rows = pd.DataFrame(table).assign(label=[0, 0, 1, 0, 0], split=["train", "train", "val", "test", "train"])
    rows["group_id"] = ["L1", "L1", "c", "d", "d"]
    torn = describe_groups(rows, ["lesion_id"], by_picture=True)
    assert (torn.known, torn.joined_by, torn.images_without_ids) == (True, ["lesion", "near-duplicate"], 2)
    assert (torn.count, torn.mixed, torn.largest, torn.patients_across_splits) == (3, 0, 2, 1)
    rows["group_id"] = group_ids(rows, ["lesion_id", "patient_id"], None)
    whole = describe_groups(rows.assign(split="train"), ["lesion_id", "patient_id"], by_picture=False)
    assert (whole.joined_by, whole.mixed, whole.largest) == (["lesion", "patient"], 1, 3)
    assert whole.patients_across_splits == 0
    unknown = describe_groups(rows.assign(lesion_id=rows["image_id"], patient_id=""), ["lesion_id"], by_picture=False)
    assert (unknown.known, unknown.images_without_ids) == (False, 5)
