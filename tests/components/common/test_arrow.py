"""Columns made of buffers are those that pyarrow makes of the same values."""

import io
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from components.common.arrow import column, from_numpy, to_numpy

TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
KINDS = {
    pa.string(): TEXT,
    pa.binary(): st.binary(max_size=8),
    pa.int8(): st.integers(-128, 127),
    pa.int32(): st.integers(-(2**31), 2**31 - 1),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.float32(): st.floats(width=32),
    pa.float64(): st.floats(),
}


def same(made, expected):
    assert made.type == expected.type
    made.validate(full=True)
    assert made.null_count == expected.null_count == 0
    if pa.types.is_floating(made.type):  # NaN equals nothing
        assert np.array_equal(made.to_numpy(), expected.to_numpy(), equal_nan=True)
    else:
        assert made.combine_chunks().equals(pa.chunked_array([expected]).combine_chunks())


@pytest.mark.parametrize("kind", KINDS, ids=str)
@settings(deadline=None)
@given(data=st.data())
def test_any_values_give_the_column_that_pyarrow_gives(kind, data):
    values = data.draw(st.lists(KINDS[kind], max_size=30))
    same(column(values, kind), pa.array(values, kind, from_pandas=False))


@given(st.lists(TEXT, max_size=30))
def test_long_columns_are_cut_between_values(values):
    made = column(values, pa.string(), most=16)
    same(made, pa.array(values, pa.string()))
    assert all(len(chunk) <= 1 or sum(len(one.encode()) for one in chunk.to_pylist()) <= 16 for chunk in made.chunks)


def test_a_file_of_it_has_the_bytes_that_pyarrow_writes():
    values = {"a": (["x", "", "ü"] * 50, pa.string()), "b": ([b"\0", b"", b"abc"] * 50, pa.binary()),
              "c": ([1, -1, 0] * 50, pa.int8()), "d": ([0.5, float("nan"), 1.0] * 50, pa.float64())}  # fmt: skip
    files = []
    for make in (column, lambda many, kind: pa.array(many, kind, from_pandas=False)):
        buffer = io.BytesIO()
        pq.write_table(pa.table({name: make(*what) for name, what in values.items()}), buffer, compression="zstd")
        files.append(buffer.getvalue())
    assert files[0] == files[1]


@pytest.mark.parametrize(("value", "kind", "error"), [
    (128, pa.int8(), OverflowError), (0.5, pa.int8(), OverflowError), (-1, pa.uint8(), OverflowError),
    (np.int64(300), pa.int8(), OverflowError),
    (2**64, pa.int64(), OverflowError), (2**31, pa.int32(), OverflowError), ("\udcfc", pa.string(), UnicodeEncodeError),
    ("x", pa.binary(), TypeError),
])  # fmt: skip
def test_a_value_that_does_not_fit_is_refused(value, kind, error):
    with pytest.raises(error):
        column([value], kind)


NUMBERS = ["int8", "int32", "int64", "uint64", "float32", "float64", "bool"]


@pytest.mark.parametrize("kind", NUMBERS)
@settings(deadline=None)
@given(data=st.data())
def test_numpy_arrays_go_there_and_back(kind, data):
    values = data.draw(arrays(kind, st.integers(0, 40)))
    made = from_numpy(values)
    assert made.type == pa.array(values).type
    made.validate(full=True)
    start = data.draw(st.integers(0, len(values)))
    pieces = pa.chunked_array([made[:start], made[start:]], made.type)
    again = to_numpy(pieces)
    assert again.dtype == values.dtype
    assert np.array_equal(again, values, equal_nan=kind.startswith("float"))


@pytest.mark.parametrize("kind", ["int8", "float32", "float64", "bool"])
@settings(deadline=None)
@given(data=st.data())
def test_gaps_are_nan_or_false(kind, data):
    values = data.draw(arrays(kind, 20))
    known = data.draw(arrays("bool", 20))
    made = from_numpy(values, known)
    expected = pa.array(values, mask=~known)
    made.validate(full=True)
    assert made.null_count == expected.null_count == 20 - known.sum()
    assert [one is None for one in made.to_pylist()] == [one is None for one in expected.to_pylist()]
    again = to_numpy(pa.chunked_array([expected[:7], expected[7:]]))
    assert np.array_equal(again[known], values[known], equal_nan=kind.startswith("float"))
    assert not again[~known].any() if kind == "bool" else np.isnan(again[~known]).all()


def test_no_chunks_are_no_numbers():
    for kind in (pa.int8(), pa.float64(), pa.bool_()):
        assert to_numpy(pa.chunked_array([], kind)).shape == (0,)


def test_writing_and_reading_a_file_imports_no_pandas(tmp_path):
    code = """
import sys, pyarrow as pa, pyarrow.parquet as pq
from components.common.arrow import column, from_numpy, to_numpy
import numpy as np
table = pa.table({"a": column(["x"], pa.string()), "b": column([1], pa.int8()), "c": column([0.5], pa.float64())})
pq.write_table(table, sys.argv[1])
assert pq.ParquetFile(sys.argv[1]).read(columns=["a"])["a"].to_pylist() == ["x"]
assert to_numpy(table["b"]).tolist() == [1]
assert table["a"].take(from_numpy(np.array([0]), np.array([True]))).to_pylist() == ["x"]
sys.exit("pandas" in sys.modules)"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "t.parquet")], check=False, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
