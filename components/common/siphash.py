"""SipHash-2-4 of many texts at once, in numpy.

Aumasson and Bernstein, SipHash: a fast short-input PRF, INDOCRYPT 2012. A text's hash depends on its UTF-8
bytes and the key alone, so an order by it is the same on every machine, for every library and for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from components.common.arrow import column

KEY = b"0123456789123456"  # pandas' own
_CHUNK = 16384  # texts at a time: their state (some 64 bytes each) stays in the processor's cache
_START = np.frombuffer(b"uespemosmodnarodarenegylsetybdet", "<u8")

Words = npt.NDArray[np.uint64]
Texts: TypeAlias = pa.Array | pa.ChunkedArray | Sequence[str]


def hash_texts(texts: Texts, key: bytes = KEY) -> Words:
    """What `pandas.util.hash_array(texts, hash_key=key, categorize=False)` gives: SipHash-2-4, its bits mixed again.

    Args:
        texts: n texts: an Arrow array of strings, or any sequence of str.
        key: 16 bytes.

    Returns:
        (n,) hashes.

    Raises:
        ValueError: a key of another length, or a missing text.
        TypeError: an Arrow array of something else than strings.
    """
    word = siphash(texts, key)
    for start in range(0, len(word), _CHUNK):
        part = word[start : start + _CHUNK]
        part ^= part >> np.uint64(30)
        part *= np.uint64(0xBF58476D1CE4E5B9)  # splitmix64's finish (Steele, Lea and Flood 2014)
        part ^= part >> np.uint64(27)
        part *= np.uint64(0x94D049BB133111EB)
        part ^= part >> np.uint64(31)
    return word


def siphash(texts: Texts, key: bytes = KEY) -> Words:
    """SipHash-2-4 of the UTF-8 bytes of each text; arguments and errors as of `hash_texts`."""
    if len(key) != 16:
        raise ValueError(f"key: received {len(key)} bytes, expected 16")
    start = _START.reshape(4, 1) ^ np.frombuffer(key * 2, "<u8").reshape(4, 1)
    return np.concatenate([np.zeros(0, np.uint64), *(_hash_array(one, start) for one in _arrays(texts))])


def _arrays(texts: Texts) -> list[pa.Array]:
    known = texts if isinstance(texts, (pa.Array, pa.ChunkedArray)) else column(texts, pa.string())
    if not (pa.types.is_string(known.type) or pa.types.is_large_string(known.type)):
        raise TypeError(f"texts: received an Arrow array of {known.type}, expected string or large_string")
    if known.null_count:
        raise ValueError(f"texts: {known.null_count} of {len(known)} are missing; expected a text in every place")
    return [known] if isinstance(known, pa.Array) else known.chunks


def _hash_array(array: pa.Array, start: Words) -> Words:
    out = np.empty(len(array), np.uint64)
    if not len(array):
        return out
    kind = np.int64 if pa.types.is_large_string(array.type) else np.int32
    _, ends, data = array.buffers()
    offset = np.frombuffer(ends, kind)[array.offset : array.offset + len(array) + 1]
    content = np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
    for at in range(0, len(array), _CHUNK):
        bounds = offset[at : at + _CHUNK + 1].astype(np.int64)
        _hash_chunk(content[bounds[0] : bounds[-1]], bounds - bounds[0], start, out[at : at + _CHUNK])
    return out


def _hash_chunk(content: npt.NDArray[np.uint8], bounds: npt.NDArray[np.int64], start: Words, out: Words) -> None:
    """Writes the hashes of texts i, `content[bounds[i]:bounds[i + 1]]`, to `out`."""
    words = np.zeros(len(content) // 8 + 3, np.uint64)  # two words beyond the last byte may be looked at
    words.view(np.uint8)[: len(content)] = content
    first, length = bounds[:-1], np.diff(bounds)
    full = length >> 3
    least, most = int(full.min()), int(full.max())
    order = np.argsort(-full, kind="stable") if least != most else None
    if order is not None:  # the longest first: those with a word left are a slice
        first, length, full = first[order], length[order], full[order]
    falling = -full
    state = np.repeat(start, len(first), axis=1)
    spare = np.empty(len(first), np.uint64)
    active = len(first)
    for i in range(most):
        if i >= least:  # then they are in order
            active = int(np.searchsorted(falling, -i))
        _absorb(state[:, :active], _word(words, first[:active] + 8 * i), spare[:active])
    rest = (length & 7).astype(np.uint64) << np.uint64(3)
    last = _word(words, first + 8 * full) & ((np.uint64(1) << rest) - np.uint64(1))
    _absorb(state, last | (length.astype(np.uint64) << np.uint64(56)), spare)
    v0, v1, v2, v3 = state
    v2 ^= np.uint64(0xFF)
    for _ in range(4):
        _round(v0, v1, v2, v3, spare)
    v0 ^= v1
    v0 ^= v2
    v0 ^= v3
    if order is None:
        out[:] = v0
    else:
        out[order] = v0


def _word(words: Words, byte: npt.NDArray[np.int64]) -> Words:
    """The eight bytes from `byte` on as a little-endian number, put together from the two words they lie in."""
    at = byte >> 3
    shift = (byte & 7).astype(np.uint64) << np.uint64(3)
    low = words[at] >> shift
    # a shift by 64 gives 0 in numpy, which is what a word that starts at a border takes of the next
    return np.asarray(low | (words[at + 1] << (np.uint64(64) - shift)), np.uint64)


def _absorb(state: Words, word: Words, spare: Words) -> None:
    v0, v1, v2, v3 = state
    v3 ^= word
    _round(v0, v1, v2, v3, spare)
    _round(v0, v1, v2, v3, spare)
    v0 ^= word


def _round(v0: Words, v1: Words, v2: Words, v3: Words, spare: Words) -> None:
    v0 += v1
    _rotate(v1, 13, spare)
    v1 ^= v0
    _rotate(v0, 32, spare)
    v2 += v3
    _rotate(v3, 16, spare)
    v3 ^= v2
    v0 += v3
    _rotate(v3, 21, spare)
    v3 ^= v0
    v2 += v1
    _rotate(v1, 17, spare)
    v1 ^= v2
    _rotate(v2, 32, spare)


def _rotate(word: Words, left: int, spare: Words) -> None:
    np.right_shift(word, np.uint64(64 - left), out=spare)
    np.left_shift(word, np.uint64(left), out=word)
    word |= spare
