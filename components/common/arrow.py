"""Arrow columns of plain values, made without pandas.

`pyarrow.array` imports pandas wherever it is installed, only to ask whether it was handed a Series: a third of a
second and 50 MB for a step that has no use for it. An array put together from its buffers asks nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

MOST_BYTES = 2**31 - 1  # what the 32-bit offsets of a text array can reach


def column(values: Sequence[Any], kind: pa.DataType, most: int = MOST_BYTES) -> pa.ChunkedArray:
    """A column without nulls; equal values give an equal column.

    Args:
        values: str for `pa.string()`, bytes for `pa.binary()`, numbers for the integer and float kinds.
        kind: the column's type.
        most: bytes of text in one chunk; no single value may be longer.

    Raises:
        OverflowError: a number that the integer kind cannot hold, a fraction for example.
        UnicodeEncodeError: text that is not Unicode.
    """
    if kind in (pa.string(), pa.binary()):
        data = [one.encode() for one in values] if kind == pa.string() else values
        return pa.chunked_array([_texts(data[start:end], kind) for start, end in _pieces(data, most)], kind)
    return pa.chunked_array([_array(kind, len(values), _numbers(values, kind))], kind)


def _numbers(values: Sequence[Any], kind: pa.DataType) -> npt.NDArray[Any]:
    given = np.asarray(values) if len(values) else np.zeros(0, str(kind))
    made = given.astype(str(kind))
    if made.dtype.kind == "i" and (given.dtype.kind not in "iu" or (made != given).any()):
        raise OverflowError(f"received numbers that are no {kind}, from {given.min()} to {given.max()}")
    return made


def _pieces(data: Sequence[bytes], most: int) -> Iterator[tuple[int, int]]:
    start = size = 0
    for i, one in enumerate(data):
        if size + len(one) > most:
            yield start, i
            start, size = i, 0
        size += len(one)
    yield start, len(data)


def _texts(data: Sequence[bytes], kind: pa.DataType) -> pa.Array:
    ends = np.zeros(len(data) + 1, np.int32)
    np.cumsum([len(one) for one in data], out=ends[1:])
    return _array(kind, len(data), ends, b"".join(data))


def _array(kind: pa.DataType, length: int, *buffers: Any) -> pa.Array:
    return pa.Array.from_buffers(kind, length, [None, *(pa.py_buffer(buffer) for buffer in buffers)], 0)
