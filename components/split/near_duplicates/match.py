"""Near-duplicates by picture: candidates from similar anchors, then coarse alignment, then verification.

Finds copies that were re-encoded, shrunk, rotated by quarter turns, mirrored, cropped, or changed in brightness.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from components.common.runtime.events import progress
from components.common.runtime.resources import usable_cores
from components.split.near_duplicates.align import Candidates, Canvas, blurred_grey, fitting
from components.split.near_duplicates.anchors import SCALES, Anchors, find_anchors, working_image
from components.split.near_duplicates.candidates import Index
from components.split.near_duplicates.verify_pair import same_picture

_BLOCK = 500, 16_000  # images searched at a time, at least and at most
_BLOCKS = 16  # where there are few images
_PAIRS = 200  # verified at a time

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]

log = logging.getLogger(__name__)


def match(thumbnails: Sequence[bytes]) -> tuple[Ints, Ints, Floats]:
    """Near-duplicate pairs among `thumbnails`; of many copies of one picture, enough pairs to join all of them.

    Returns:
        Left and right image of each pair (left < right), and 1 - correlation of their fine structure.
    """
    with _threads() as pool:
        found = _fitting_pairs(thumbnails, pool)
        pairs = sorted(found)

        def verdicts(start: int) -> list[tuple[bool, float]]:
            block = (found[pair] for pair in pairs[start : start + _PAIRS])
            return [same_picture(one, thumbnails[int(one.a[0])], thumbnails[int(one.b[0])]) for one in block]

        seen = [one for block in pool.map(verdicts, range(0, len(pairs), _PAIRS)) for one in block]
    same = [(pair, max(0.0, 1.0 - correlation)) for pair, (yes, correlation) in zip(pairs, seen, strict=True) if yes]
    log.info("near-duplicates: %d candidate pairs verified, %d show the same picture", len(pairs), len(same))
    left, right = (np.array([pair[i] for pair, _ in same], np.int64) for i in (0, 1))
    return left, right, np.array([distance for _, distance in same], np.float32)


@contextmanager
def _threads() -> Iterator[ThreadPoolExecutor]:
    """One thread per core; OpenCV's and BLAS's own threads only get in the way on pictures this small."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(usable_cores()) as pool:
            yield pool
    finally:
        cv2.setNumThreads(before)


def _fitting_pairs(thumbnails: Sequence[bytes], pool: ThreadPoolExecutor) -> dict[tuple[int, int], Candidates]:
    """The pairs that fit once aligned, each with the candidate that fits best."""
    size = min(max(-(-len(thumbnails) // _BLOCKS), _BLOCK[0]), _BLOCK[1])
    blocks = {start: thumbnails[start : start + size] for start in range(0, len(thumbnails), size)}
    if len(thumbnails) < 2:
        return {}
    canvas, anchors = _read(blocks, pool)
    if len(anchors.image) < 2:
        return {}
    index = Index(anchors)

    def search(block: Sequence[bytes], start: int) -> list[Candidates]:
        images = [working_image(one) for one in block]
        return [fitting(canvas, rough) for rough in index.candidates(images, start)]

    found: dict[tuple[int, int], Candidates] = {}
    with progress("near-duplicates", len(thumbnails)) as bar:
        for block, fits in zip(blocks.values(), pool.map(search, blocks.values(), blocks), strict=True):
            for near in fits:
                _keep_best(found, near)
            bar.advance(len(block))
    return found


def _read(blocks: Mapping[int, Sequence[bytes]], pool: ThreadPoolExecutor) -> tuple[Canvas, Anchors]:
    """The canvas of all images, and their anchors at the first scale."""
    parts, pictures = zip(*pool.map(_read_block, blocks.values(), blocks), strict=True)
    columns = ([getattr(part, name) for part in parts] for name in ("image", "at", "signature"))
    return Canvas.of([one for part in pictures for one in part]), Anchors(*map(np.concatenate, columns))


def _read_block(block: Sequence[bytes], start: int) -> tuple[Anchors, list[Floats]]:
    images = [working_image(one) for one in block]
    anchors = find_anchors(images, SCALES[0])
    signature = anchors.signature.astype(np.float16)
    return Anchors(anchors.image + start, anchors.at, signature), [blurred_grey(image) for image in images]


def _keep_best(found: dict[tuple[int, int], Candidates], near: Candidates) -> None:
    for i in range(len(near.a)):
        key = (int(min(near.a[i], near.b[i])), int(max(near.a[i], near.b[i])))
        one = near.take(np.array([i]))
        known = found.setdefault(key, one)
        known.very_similar |= one.very_similar
        if one.score[0] > known.score[0]:
            found[key] = replace(one, very_similar=known.very_similar)
