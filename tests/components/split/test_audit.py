import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.common.runtime.errors import DataError
from components.split.audit import age_band, audit, class_shares, refuse_absent_class, refuse_leak, table
from components.split.config import SplitConfig
from components.split.division import Division
from components.split.near_duplicates.find import Pairs
from components.split.recipes import assign
from components.split.texts import encode

NONE = Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))


def texts(values):
    return pa.chunked_array([values], pa.large_string())


def divided(table):
    rows = pa.Table.from_pandas(table)
    return Division(rows, assign(SplitConfig(), rows)[0])


def test_a_whole_division_passes_and_is_described(rows):
    table_ = rows(800)
    division = divided(table_)
    code = division.code
    report = audit(division, NONE)
    assert report["leaked_groups"] == 0
    assert set(report["tables"]) == {"dx", "sex", "site", "source", "age"}
    for part in report["tables"].values():
        assert sum(value["train"]["images"] for value in part.values()) == (code == 0).sum()
    for split in ("train", "val", "test"):
        share = table_["label"].to_numpy()[code == ("train", "val", "test").index(split)].mean()
        assert report["class_shares"][split]["malignant_share"] == pytest.approx(share)
        assert abs(report["class_shares"][split]["error_points"]) < 1.0


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5))
def test_every_planted_leak_is_caught(seed, leaks):
    random = np.random.default_rng(seed)
    names = np.repeat([f"g{i}" for i in range(60)], random.integers(2, 5, 60))
    group = encode(texts(names.tolist()))
    code = random.integers(0, 3, 60).astype(np.int8)[group.codes]
    refuse_leak(group, code)
    for at in random.choice(len(code), leaks, replace=False):
        code[at] = (code[at] + random.integers(1, 3)) % 3
    if pd.Series(code).groupby(names).nunique().max() == 1:  # the whole group moved together
        return
    with pytest.raises(DataError) as caught:
        refuse_leak(group, code)
    named = str(caught.value).split()[1]
    assert len(set(code[names == named])) > 1


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 40))
def test_every_planted_pair_across_splits_is_counted_and_named(seed, count):
    random = np.random.default_rng(seed)
    n = 90
    table_ = pd.DataFrame({"image_id": [f"i{k}" for k in range(n)], "lesion_id": [f"L{k // 2}" for k in range(n)],
                           "label": np.arange(n) % 4 < 2, "dx": "nv"}).astype({"label": np.int8})  # fmt: skip
    table_["group_id"] = table_["lesion_id"]
    code = np.repeat(np.arange(n // 2) % 3, 2).astype(np.int8)
    pairs = np.unique(np.sort(random.choice(n, (count, 2)), axis=1), axis=0)
    pairs = pairs[pairs[:, 0] < pairs[:, 1]]
    division = Division(pa.Table.from_pandas(table_), code)
    near = audit(division, Pairs(pairs[:, 0], pairs[:, 1], np.zeros(len(pairs), np.float32)))["near_duplicates"]
    across = {(f"i{a}", f"i{b}") for a, b in pairs if code[a] != code[b]}
    assert (near["pairs"], near["crossing"]) == (len(pairs), len(across))
    assert {tuple(one["images"]) for one in near["crossing_pairs"]} == across
    assert near["between_lesions"] == sum(a // 2 != b // 2 for a, b in pairs)


def test_a_leak_names_group_splits_and_number():
    with pytest.raises(DataError, match=r"^group b is in train, test at once \(2 such groups\)"):
        refuse_leak(encode(texts(["a", "b", "b", "c", "c"])), np.array([0, 0, 2, 1, 2], np.int8))


ABSENT = [([0, 1, 0, 1, 1, 1], "test holds no benign"), ([0, 1, 0, 0, 0, 1], "val holds no malignant")]


@pytest.mark.parametrize(("label", "words"), ABSENT)
def test_an_absent_class_names_split_and_counts(label, words):
    with pytest.raises(DataError, match=words + r" image \(benign \+ malignant: train 1 \+ 1; "):
        refuse_absent_class(np.array(label), np.array([0, 0, 1, 1, 2, 2], np.int8))


def test_crossing_pairs_are_listed_with_both_sides(rows):
    table_ = rows(400)
    division = divided(table_)
    code = division.code
    a, b = np.flatnonzero(code == 0)[0], np.flatnonzero(code == 2)[0]
    c, d = np.flatnonzero(code == 0)[1:3]
    report = audit(division, Pairs(np.array([a, c]), np.array([b, d]), np.array([0.1, 0.0], np.float32)))
    near = report["near_duplicates"]
    assert (near["pairs"], near["crossing"]) == (2, 1)
    (one,) = near["crossing_pairs"]
    assert one["images"] == [table_["image_id"][a], table_["image_id"][b]]
    assert one["splits"] == ["train", "test"]


def test_shares_and_errors_are_in_points():
    shares = class_shares(np.array([0, 1, 0, 1, 1, 1]), np.array([0, 0, 1, 1, 2, 2], np.int8))
    assert shares["all"]["malignant_share"] == pytest.approx(4 / 6)
    assert shares["test"]["error_points"] == pytest.approx(100 / 3)


def test_missing_values_are_a_row_of_their_own():
    counts = table(encode(texts(["m", None, "", "f"])), np.array([0, 0, 1, 2], np.int8))
    assert set(counts) == {"m", "f", "unknown"}
    assert counts["unknown"]["val"] == {"images": 1, "share": 1.0, "error_points": 50.0}


def test_age_bands():
    ages = pa.chunked_array([[0.0, 39.9, 40.0], [60.0, 79.0, 80.0, np.nan, None]])
    codes, names = age_band(ages)
    expected = ["<40", "<40", "40-59", "60-79", "60-79", "80+", "unknown", "unknown"]
    assert names.take(pa.array(codes)).to_pylist() == expected
