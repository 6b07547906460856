"""Columns of texts as numbers: which are equal, which come twice, and in what order they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from components.common.arrow import column, from_numpy, to_numpy
from components.common.siphash import hash_texts

Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]
_BITS = 20
_SHIFT = np.uint64(64 - _BITS)


class Encoded(NamedTuple):
    """A column as numbers of its values.

    Attributes:
        codes: (n,) number of each row's value.
        names: the values, in order of appearance; a missing one is a value as well.
    """

    codes: npt.NDArray[np.int32]
    names: pa.Array

    def first(self) -> Ints:
        """The row in which each value is met first."""
        rows = np.empty(len(self.names), np.int64)
        rows[self.codes[::-1]] = np.arange(len(self.codes))[::-1]  # of several, the last written stays
        return rows


def encode(values: pa.ChunkedArray) -> Encoded:
    """Numbers the values of a column, exactly."""
    chunks = values.dictionary_encode("encode").chunks  # all with one dictionary
    if not chunks:
        return Encoded(np.zeros(0, np.int32), pa.nulls(0, values.type))
    return Encoded(to_numpy(pa.chunked_array([chunk.indices for chunk in chunks])), chunks[-1].dictionary)


def take(values: Any, at: npt.NDArray[np.integer[Any]]) -> Any:
    """Rows `at` of a column or a table.

    Arrow's own take puts all pieces of a column into one first; of a few rows only those are copied.
    """
    if len(at) < len(values) // 4:
        rows, at = np.unique(at, return_inverse=True)
        kept = np.zeros(len(values), bool)
        kept[rows] = True
        values = values.filter(from_numpy(kept))
    return values.take(from_numpy(at))


def words(texts: Sequence[str]) -> pa.ChunkedArray:
    """Texts to look for in a column."""
    return column(texts, pa.string()).cast(pa.large_string())


def scalar(text: str) -> pa.Scalar:
    """A text to compare a column with."""
    return words([text])[0]


def repeated(texts: pa.ChunkedArray) -> Ints:
    """Rows whose text another row has as well, in ascending order.

    Equal texts have equal hashes, so that only rows with a hash that comes twice are compared.
    """
    word = hash_texts(texts)
    suspect, _ = members(word, met_twice(word))
    if not len(suspect):
        return suspect
    codes, names = encode(take(texts, suspect))
    return suspect[np.bincount(codes, minlength=len(names))[codes] > 1]


def met_twice(word: Words) -> Words:
    """The numbers that come more than once, sorted, each at least once."""
    ordered = np.sort(word)
    return np.asarray(ordered[1:][ordered[1:] == ordered[:-1]], np.uint64)


def members(word: Words, of: Words) -> tuple[Ints, Ints]:
    """Rows of `word` whose number is in the sorted `of`, and where in it."""
    if not len(of):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    begin = np.zeros(1 << _BITS, bool)  # of a few numbers most others differ in their first bits
    begin[of >> _SHIFT] = True
    rows = np.flatnonzero(begin[word >> _SHIFT])
    at = np.minimum(np.searchsorted(of, word[rows]), len(of) - 1)
    same = of[at] == word[rows]
    return rows[same], at[same]


def in_order(texts: pa.ChunkedArray) -> npt.NDArray[np.uint64] | None:
    """The order that sorts texts by code points, equal ones as they stand; None if they are sorted."""
    import pyarrow.compute as pc

    if pc.all(pc.less_equal(texts[:-1], texts[1:])).as_py() is not False:
        return None
    return to_numpy(pa.chunked_array([pc.sort_indices(texts)]))
