"""Thumbnails as a sequence of bytes that stay where Arrow has them: a million of them are not copied into objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

import pyarrow as pa


class Pictures(Sequence[bytes]):
    """A binary column as a sequence; a part of it is a view.

    Args:
        column: values without gaps.
    """

    def __init__(self, column: pa.ChunkedArray) -> None:
        self._column = column

    def __len__(self) -> int:
        return len(self._column)

    @overload
    def __getitem__(self, at: int) -> bytes: ...

    @overload
    def __getitem__(self, at: slice) -> Pictures: ...

    def __getitem__(self, at: int | slice) -> bytes | Pictures:
        if isinstance(at, slice):
            start, stop, step = at.indices(len(self))
            if step != 1:
                raise ValueError(f"received a step of {step}, expected 1")
            return Pictures(self._column.slice(start, max(stop - start, 0)))
        value: bytes = self._column[at].as_py()
        return value
