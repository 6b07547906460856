"""Parquet files of plain columns: what is written is read, what is damaged is said."""

import math

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.common.parquet import read_parquet, write_parquet
from components.common.runtime.errors import ArtifactError

KINDS = {"name": "string", "image": "binary", "label": "int8", "width": "int32", "size": "int64", "age": "double"}
COLUMNS = {
    "name": ["a", "", "ü"], "image": [b"\xff\xd8", b"", b"\0"], "label": [-1, 0, 1], "width": [1, 2, 2**31 - 1],
    "size": [0, 1, 2**40], "age": [80.0, math.nan, 0.5],
}  # fmt: skip


@pytest.fixture
def file(tmp_path):
    write_parquet(tmp_path / "t.parquet", COLUMNS, KINDS)
    return tmp_path / "t.parquet"


def test_columns_come_back_from_a_file_and_from_its_bytes(file):
    for source in (file, file.read_bytes()):
        read = read_parquet(source, ["size", "name", "image"])
        assert list(read) == ["size", "name", "image"]
        assert read == {name: COLUMNS[name] for name in read}
        assert [math.isnan(age) for age in read_parquet(source, ["age"])["age"]] == [False, True, False]


def test_the_file_has_the_types_asked_for_and_no_nulls_that_nobody_wrote(file):
    found = pq.read_table(file)
    assert found.schema == pa.schema([(name, pa.type_for_alias(kind)) for name, kind in KINDS.items()])
    assert [column.null_count for column in found.columns] == [0] * 6
    frame = pd.read_parquet(file)
    assert frame.dtypes.map(str).to_dict() == {
        "name": "str", "image": "object", "label": "int8", "width": "int32", "size": "int64", "age": "float64",
    }  # fmt: skip
    assert frame["image"].tolist() == COLUMNS["image"]


def test_equal_columns_give_equal_bytes_and_no_rows_are_a_file_too(file, tmp_path):
    write_parquet(tmp_path / "again.parquet", COLUMNS, KINDS)
    assert (tmp_path / "again.parquet").read_bytes() == file.read_bytes()
    write_parquet(tmp_path / "none.parquet", {name: [] for name in KINDS}, KINDS)
    assert read_parquet(tmp_path / "none.parquet", list(KINDS)) == {name: [] for name in KINDS}


def test_a_column_that_is_absent_is_named(file):
    with pytest.raises(ArtifactError, match=r"t.parquet: no column sex; expected name, sex"):
        read_parquet(file, ["name", "sex"])


@pytest.mark.parametrize("cut", [0, 3, 100, -1])
def test_a_cut_file_is_an_error_in_one_line(file, cut):
    with pytest.raises(ArtifactError, match="no sound Parquet file") as caught:
        read_parquet(file.read_bytes()[:cut], ["name"])
    assert "\n" not in str(caught.value)


def test_columns_of_different_length_are_refused(tmp_path):
    with pytest.raises(ValueError, match="length"):
        write_parquet(tmp_path / "t.parquet", {"a": [1], "b": [1, 2]}, {"a": "int8", "b": "int8"})
