import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.common.artifacts.split import SPLITS
from components.common.runtime.errors import DataError
from components.split.audit import audit, class_shares, refuse_absent_class, refuse_leak, table
from components.split.config import SplitConfig
from components.split.near_duplicates.find import Pairs
from components.split.recipes import assign

NONE = Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))


def divided(table):
    return table.assign(split=assign(SplitConfig(), table)[0])


def test_a_whole_division_passes_and_is_described(rows):
    divided_ = divided(rows(800))
    report = audit(divided_, NONE)
    assert report["leaked_groups"] == 0
    assert set(report["tables"]) == {"dx", "sex", "site", "source", "age"}
    for part in report["tables"].values():
        assert sum(value["train"]["images"] for value in part.values()) == (divided_["split"] == "train").sum()
    for split in SPLITS:
        share = divided_.loc[divided_["split"] == split, "label"].mean()
        assert report["class_shares"][split]["malignant_share"] == pytest.approx(share)
        assert abs(report["class_shares"][split]["error_points"]) < 1.0


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5))
def test_every_planted_leak_is_caught(seed, leaks):
    random = np.random.default_rng(seed)
    names = np.repeat([f"g{i}" for i in range(60)], random.integers(2, 5, 60))
    place = dict(zip(np.unique(names), random.choice(SPLITS, 60), strict=True))
    table_ = pd.DataFrame({"group_id": names, "split": [place[name] for name in names]})
    refuse_leak(table_, "group_id")
    for at in random.choice(len(names), leaks, replace=False):
        others = [name for name in SPLITS if name != table_.loc[at, "split"]]
        table_.loc[at, "split"] = random.choice(others)
    if table_.groupby("group_id")["split"].nunique().max() == 1:  # the whole group moved together
        return
    with pytest.raises(DataError) as caught:
        refuse_leak(table_, "group_id")
    named = str(caught.value).split()[1]
    assert table_.loc[names == named, "split"].nunique() > 1


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 40))
def test_every_planted_pair_across_splits_is_counted_and_named(seed, count):
    random = np.random.default_rng(seed)
    n = 90
    table_ = pd.DataFrame(
        {
            "image_id": [f"i{k}" for k in range(n)],
            "lesion_id": [f"L{k // 2}" for k in range(n)],
            "label": np.arange(n) % 4 < 2,
            "dx": "nv",
        }
    ).astype({"label": np.int8})
    table_["group_id"] = table_["lesion_id"]
    table_["split"] = np.repeat(np.array(SPLITS)[np.arange(n // 2) % 3], 2)
    pairs = np.unique(np.sort(random.choice(n, (count, 2)), axis=1), axis=0)
    pairs = pairs[pairs[:, 0] < pairs[:, 1]]
    near = audit(table_, Pairs(pairs[:, 0], pairs[:, 1], np.zeros(len(pairs), np.float32)))["near_duplicates"]
    across = {(f"i{a}", f"i{b}") for a, b in pairs if table_.loc[a, "split"] != table_.loc[b, "split"]}
    assert (near["pairs"], near["crossing"]) == (len(pairs), len(across))
    assert {tuple(one["images"]) for one in near["crossing_pairs"]} == across
    assert near["between_lesions"] == sum(a // 2 != b // 2 for a, b in pairs)


def test_a_leak_names_group_splits_and_number():
    leaky = pd.DataFrame({"group_id": list("abbcc"), "split": ["train", "test", "train", "val", "test"]})
    with pytest.raises(DataError, match=r"^group b is in train, test at once \(2 such groups\)"):
        refuse_leak(leaky, "group_id")


def test_a_patient_in_two_splits_is_named_whatever_the_groups_say(rows):
    table_ = divided(rows(300)).assign(patient_id="")
    audit(table_, NONE, ["lesion_id", "patient_id"])
    first, last = (table_.index[table_["split"] == name][0] for name in ("train", "test"))
    table_.loc[[first, last], "patient_id"] = "P7"
    with pytest.raises(DataError, match=r"^patient P7 is in train, test at once \(1 such patients\): .*split.group_by"):
        audit(table_, NONE, ["lesion_id", "patient_id"])


ABSENT = [([0, 1, 0, 1, 1, 1], "test holds no benign"), ([0, 1, 0, 0, 0, 1], "val holds no malignant")]
TWICE = np.repeat(SPLITS, 2)


@pytest.mark.parametrize(("label", "words"), ABSENT)
def test_an_absent_class_names_split_and_counts(label, words):
    with pytest.raises(DataError, match=words + r" image \(benign \+ malignant: train 1 \+ 1; "):
        refuse_absent_class(named(label), ["lesion_id"], by_picture=False)


def named(label):
    ids = [f"im{i}" for i in range(6)]
    return pd.DataFrame({"label": label, "split": TWICE, "image_id": ids, "lesion_id": ids, "group_id": ids})


def test_a_group_that_pushes_others_out_is_named_with_what_joins_it(rows):
    table_ = rows(300).assign(patient_id="")
    benign = table_.index[table_["label"] == 0][: len(table_) // 2]
    big = table_.index[table_["label"] == 1].append(benign)
    table_.loc[big, "patient_id"] = "n.n."
    table_.loc[big, "group_id"] = "L00000"
    table_ = table_.assign(split=assign(SplitConfig(), table_)[0])
    with pytest.raises(DataError) as caught:
        audit(table_, NONE, ["lesion_id", "patient_id"])
    said = str(caught.value)
    assert re.match(r"(train|val) holds no malignant image \(benign \+ malignant: train ", said)
    assert f"one group, L00000, holds {len(big)} of {len(table_)} images (" in said
    assert "patient_id 'n.n.' joins most of them: if it stands for a missing value, leave those cells empty, or" in said
    assert "--set 'split.group_by=[]' groups by lesion" in said


def test_crossing_pairs_are_listed_with_both_sides(rows):
    table_ = divided(rows(400))
    train, test = (np.flatnonzero(table_["split"] == name) for name in ("train", "test"))
    left, right = np.array([train[0], train[1]]), np.array([test[0], train[2]])
    near = audit(table_, Pairs(left, right, np.array([0.1, 0.0], np.float32)))["near_duplicates"]
    assert (near["pairs"], near["crossing"]) == (2, 1)
    (one,) = near["crossing_pairs"]
    assert one["images"] == [table_["image_id"][train[0]], table_["image_id"][test[0]]]
    assert one["splits"] == ["train", "test"]
    assert one["distance"] == pytest.approx(0.1)


def test_shares_and_errors_are_in_points():
    shares = class_shares(pd.DataFrame({"label": [0, 1, 0, 1, 1, 1], "split": TWICE}))
    assert shares["all"]["malignant_share"] == pytest.approx(4 / 6)
    assert shares["test"]["error_points"] == pytest.approx(100 / 3)


def test_missing_values_and_age_0_are_a_row_of_their_own(rows):
    table_ = divided(rows(400)).assign(sex="female", age=45.0)
    train = table_.index[table_["split"] == "train"]
    table_.loc[train[:4], "sex"] = ["", None, "unknown", "male"]
    table_.loc[train[:2], "age"] = [0.0, np.nan]
    tables = audit(table_, NONE)["tables"]
    assert {name: row["train"]["images"] for name, row in tables["sex"].items()} == {
        "female": len(train) - 4,
        "male": 1,
        "unknown": 3,
    }
    assert tables["age"]["unknown"]["train"]["images"] == 2
    assert tables["age"].keys() == {"40-59", "unknown"}


def test_counts_shares_and_errors_of_a_table():
    counts = table(pd.Series(["m", "unknown", "unknown", "f"]), pd.Series(["train", "train", "val", "test"]))
    assert list(counts) == ["f", "m", "unknown"]
    assert counts["unknown"]["val"] == {"images": 1, "share": 1.0, "error_points": 50.0}
    assert counts["m"]["test"] == {"images": 0, "share": 0.0, "error_points": -25.0}
