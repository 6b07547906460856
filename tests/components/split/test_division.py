import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from components.split.division import SPLITS, Division


@pytest.fixture
def division(rows):
    table = rows(300)
    table["group_id"] = table["lesion_id"].where(table.index % 50 > 0, "L00000")
    return Division(pa.Table.from_pandas(table), np.random.default_rng(0).integers(0, 3, len(table)).astype(np.int8))


def test_values_are_counted_in_every_split_they_are_in(division):
    frame = division.rows.to_pandas().assign(split=division.code)
    for name, column in (("lesion_id", division.lesion), ("group_id", division.group)):
        assert division.distinct(column).tolist() == frame.groupby("split")[name].nunique().tolist()
    assert division.distinct(division.lesion).sum() > frame["lesion_id"].nunique()  # lesions torn apart count twice


def test_rows_are_counted_by_split(division):
    frame = pd.DataFrame({"split": division.code, "label": division.label})
    expected = frame[frame["label"] == 1].groupby("split").size().tolist()
    assert division.per_split(division.label == 1).tolist() == expected
    assert division.per_split(np.zeros(len(division.code), bool)).tolist() == [0, 0, 0]


def test_labels_are_whole_numbers_whatever_the_index_holds(division):
    rows = division.rows
    for kind in (pa.int8(), pa.int64(), pa.float64()):
        same = rows.set_column(rows.column_names.index("label"), "label", rows["label"].cast(kind))
        assert np.array_equal(Division(same, division.code).label, division.label)
        assert Division(same, division.code).label.dtype == np.int8


def test_splits_are_named(division):
    names = division.split_names()
    assert names.type == pa.string()
    assert names.to_pylist() == [SPLITS[i] for i in division.code]
    assert division.split_names(np.array([5, 2])).to_pylist() == [SPLITS[division.code[i]] for i in (5, 2)]


def test_equal_columns_are_numbered_once(rows):
    table = pa.Table.from_pandas(rows(50))
    one = Division(table, np.zeros(len(table), np.int8))
    assert one.lesion is one.group
