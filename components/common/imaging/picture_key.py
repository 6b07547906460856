"""Picture keys: 256 bits by which a copy of an image is known again, and from which no image can be made.

The signs of the sixteen lowest cosine frequencies in both directions, of a thumbnail (Zauner 2010, the DCT hash). To
turn or mirror an image only swaps or flips bits, so that all eight views are compared from one key.

Measured on HAM10000: a copy encoded again, resized, turned, mirrored, made brighter by a tenth, or cropped by a
hundredth at each border differs in 34 bits at most and in 28 or fewer in 99 of 100 cases. Among its 50 million pairs,
100 differ in `LIMIT` bits or fewer, and each of these shows one lesion twice (one of them, ISIC_0030074 and
ISIC_0025226, under two lesion ids). Most copies cropped by more, and most photographs of a lesion taken again, lie
above.
"""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
import numpy.typing as npt

from components.common.imaging.pixels import cosines
from components.common.imaging.thumbnail import read_thumbnail

BYTES = 32
LIMIT = 32  # bits in which two keys of one picture may differ
_SIDE = 16
_ROWS = 2**22 // (8 * _SIDE * _SIDE)  # keys compared at a time

Keys = npt.NDArray[np.uint8]


def picture_keys(thumbnails: Iterable[bytes]) -> Keys:
    """The keys (n, 32) of thumbnails; zeros where there is none."""
    found = [_key(one) if one else bytes(BYTES) for one in thumbnails]
    return np.frombuffer(b"".join(found), np.uint8).reshape(-1, BYTES)


def nearest(asked: Keys, known: Keys) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.int64]]:
    """Of each asked key the nearest known one in any of its eight views.

    Args:
        asked: (n, 32) keys.
        known: (m, 32) keys, m > 0.

    Returns:
        (n,) row in `known`, and the number of bits that differ. A key of zeros (no thumbnail, or a picture without any
        structure) is near to none: 256.
    """
    signs = _signs(known).reshape(len(known), -1)
    empty = ~known.any(axis=1)
    row, distance = np.zeros(len(asked), np.intp), np.full(len(asked), 8 * BYTES, np.int64)
    for start in range(0, len(asked), _ROWS):
        block = slice(start, start + _ROWS)
        agree = np.max([view.reshape(len(view), -1) @ signs.T for view in _views(_signs(asked[block]))], axis=0)
        agree[:, empty] = -agree.dtype.type(8 * BYTES)
        row[block] = agree.argmax(axis=1)
        distance[block] = np.rint((8 * BYTES - agree.max(axis=1)) / 2)
    distance[~asked.any(axis=1)] = 8 * BYTES
    return row, distance


def _key(thumbnail: bytes) -> bytes:
    grey = cv2.cvtColor(read_thumbnail(thumbnail), cv2.COLOR_RGB2GRAY).astype(np.float32)
    waves = cosines(grey.shape[0], _SIDE) @ grey @ cosines(grey.shape[1], _SIDE).T
    return np.packbits(waves > 0).tobytes()


def _signs(keys: Keys) -> npt.NDArray[np.float32]:
    """The bits of keys as -1 and 1, (n, 16, 16)."""
    bits = np.unpackbits(keys, axis=1).reshape(-1, _SIDE, _SIDE)
    return 2 * bits.astype(np.float32) - 1


def _views(signs: npt.NDArray[np.float32]) -> Iterable[npt.NDArray[np.float32]]:
    """The same pictures turned and mirrored in all eight ways: odd frequencies change their sign."""
    odd = np.where(np.arange(1, _SIDE + 1) % 2, np.float32(-1), np.float32(1))
    for turned in (signs, signs.swapaxes(1, 2)):
        for down in (np.float32(1), odd[:, None]):
            for across in (np.float32(1), odd):
                yield turned * down * across
