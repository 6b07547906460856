"""Arrow columns of plain values and NumPy's, made and read without pandas.

`pyarrow.array` imports pandas wherever it is installed, only to ask whether it was handed a Series: a third of a
second and 50 MB for a step that has no use for it. An array put together from its buffers asks nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_NUMPY = {"halffloat": "float16", "float": "float32", "double": "float64"}  # where a kind's name is not NumPy's
MOST_BYTES = 2**31 - 1  # what the 32-bit offsets of a text array can reach


def column(values: Sequence[Any], kind: pa.DataType, most: int = MOST_BYTES) -> pa.ChunkedArray:
    """A column without nulls; equal values give an equal column.

    Args:
        values: str for `pa.string()`, bytes for `pa.binary()`, numbers for the integer and float kinds.
        kind: the column's type.
        most: bytes of text in one chunk, if it holds more than one value.

    Raises:
        OverflowError: a number that the integer kind cannot hold, a fraction for example, or 2 GiB of text in a value.
        UnicodeEncodeError: text that is not Unicode.
    """
    if kind in (pa.string(), pa.binary()):
        data = values if kind == pa.binary() else [one.encode() for one in values]
        return pa.chunked_array([_texts(data[start:end], kind) for start, end in _pieces(data, most)], kind)
    return pa.chunked_array([_array(kind, len(values), _numbers(values, kind))], kind)


def _numbers(values: Sequence[Any], kind: pa.DataType) -> npt.NDArray[Any]:
    given = np.asarray(values) if len(values) else np.zeros(0, _dtype(kind))
    made = given.astype(_dtype(kind))
    if made.dtype.kind in "iu" and (given.dtype.kind not in "iu" or (made != given).any()):
        raise OverflowError(f"received numbers that are no {kind}, from {given.min()} to {given.max()}")
    return made


def _pieces(data: Sequence[bytes], most: int) -> Iterator[tuple[int, int]]:
    ends = np.fromiter(accumulate(map(len, data)), np.int64, len(data))
    start = before = 0
    while len(data) and ends[-1] - before > most:
        end = max(start + 1, int(np.searchsorted(ends, before + most, "right")))
        yield start, end
        start, before = end, int(ends[end - 1])
    yield start, len(data)


def _texts(data: Sequence[bytes], kind: pa.DataType) -> pa.Array:
    ends = np.zeros(len(data) + 1, np.int32)
    ends[1:] = np.fromiter(accumulate(map(len, data)), np.int32, len(data))
    return _array(kind, len(data), ends, b"".join(data))


def _array(kind: pa.DataType, length: int, *buffers: Any) -> pa.Array:
    return pa.Array.from_buffers(kind, length, [None, *(pa.py_buffer(buffer) for buffer in buffers)], 0)


def to_numpy(values: pa.ChunkedArray) -> npt.NDArray[Any]:
    """(n,) the numbers or truth values of a column; a gap is NaN among numbers and False among truth values."""
    truth = pa.types.is_boolean(values.type)
    if truth:
        values = values.cast(pa.uint8())
    elif pa.types.is_integer(values.type) and values.null_count:
        values = values.cast(pa.float64())
    kind = _dtype(values.type)
    found = np.concatenate([np.zeros(0, kind), *(_known(chunk, kind) for chunk in values.chunks)])
    return found.astype(bool) if truth else found


def from_numpy(values: npt.NDArray[Any], known: npt.NDArray[np.bool_] | None = None) -> pa.Array:
    """An array of numbers or truth values, without a copy of the numbers; a gap wherever `known` is False."""
    content = np.packbits(values, bitorder="little") if values.dtype == bool else np.ascontiguousarray(values)
    valid = None if known is None else pa.py_buffer(np.packbits(known, bitorder="little"))
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [valid, pa.py_buffer(content)])


def _dtype(kind: pa.DataType) -> np.dtype[Any]:
    return np.dtype(_NUMPY.get(str(kind), str(kind)))


def _known(chunk: pa.Array, kind: np.dtype[Any]) -> npt.NDArray[Any]:
    valid, content = chunk.buffers()
    place = slice(chunk.offset, chunk.offset + len(chunk))
    values = np.frombuffer(content or b"", kind)[place]
    if not chunk.null_count:
        return values
    bits = np.unpackbits(np.frombuffer(valid, np.uint8), bitorder="little")[place]
    return np.where(bits, values, np.nan if kind.kind == "f" else 0).astype(kind)
