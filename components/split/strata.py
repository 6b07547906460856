"""Places of whole groups within their strata, found by sorting hashes: no text is numbered, no row is moved."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from components.split.texts import Ints, Words, members, met_twice

Strata = npt.NDArray[np.unsignedinteger]


class _Stratum(NamedTuple):
    """One stratum.

    Attributes:
        rows: row numbers.
        word: hash of each row's group.
        groups: the hashes, sorted, each once.
        start: how many rows lie before each of them.
    """

    rows: Ints
    word: Words
    groups: Words
    start: Ints


def levels(word: Words, stratum: Strata, scale: float, cuts: npt.NDArray[np.float64]) -> npt.NDArray[np.int16]:
    """How many of `cuts` lie at or below `scale` times the place of each row's group in its stratum.

    A group's place in [0, 1) is the share of the stratum's rows before its middle, groups in the order of
    their hashes. So it hangs on neither the order of the rows nor, but for groups next to a cut, on rows
    added later, and cutting places at fixed numbers gives exact shares. Two groups of one hash (a
    chance of 3 in a million among ten million groups) share a place, and each of them stays whole.

    Args:
        word: (n,) hash of each row's group.
        stratum: (n,) number of each row's stratum; a group of several strata counts to the highest.
        scale: what places are multiplied with.
        cuts: ascending.
    """
    parts = _sorted(word, stratum)
    several = met_twice(np.concatenate([part.groups for part in parts]))
    if len(several):
        parts = _sorted(word, _raised(word, stratum, several))
    out = np.empty(len(word), np.int16)
    for part in parts:
        size = np.diff(part.start, append=len(part.rows))
        place = (part.start + 0.5 * size) / len(part.rows)
        first = np.searchsorted(place * scale, cuts)  # the first group at or above each cut
        borders = part.groups[first[first < len(place)]]
        out[part.rows] = np.searchsorted(borders, part.word, side="right")
    return out


def _sorted(word: Words, stratum: Strata) -> list[_Stratum]:
    order = np.argsort(stratum, kind="stable")
    ends = np.cumsum(np.bincount(stratum))
    parts = []
    for rows in np.split(order, ends[:-1]):
        if not len(rows):
            continue
        part = word[rows]
        ordered = np.sort(part)
        new = np.ones(len(ordered), bool)
        np.not_equal(ordered[1:], ordered[:-1], out=new[1:])
        start = np.flatnonzero(new)
        parts.append(_Stratum(rows, part, ordered[start], start))
    return parts


def _raised(word: Words, stratum: Strata, several: Words) -> Strata:
    """The strata with each row of the groups `several` in the highest of its group's."""
    rows, at = members(word, several)
    highest = np.zeros(len(several), stratum.dtype)
    np.maximum.at(highest, at, stratum[rows])
    raised = stratum.copy()
    raised[rows] = highest[at]
    return raised
