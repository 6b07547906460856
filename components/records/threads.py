"""Work on images in many threads: as many as hide the waiting, results in order, memory that stays flat."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from components.common.runtime.cores import usable_cores
from components.common.storage import retry
from components.common.storage.store import is_local
from components.records.prepare import Source

_BATCH, _BATCH_BYTES = 16, 2**20  # handed to a thread at once: a hand-over costs as much as reading a small file
_AHEAD = 8  # batches in flight per thread: one slow object holds up no other
_AHEAD_BYTES = 256 * 2**20  # files in flight together, as read or as prepared

T = TypeVar("T")


def in_order(images: Sequence[Source], work: Callable[[Source], T], threads: int) -> Iterator[tuple[Source, T]]:
    """Each image with what `work` gives for it, in the order of `images`.

    Args:
        images: what is worked on.
        work: called in a thread; what it gives takes no more memory than the file.
        threads: how many; 0 for two a core where files are local, so that one reads while another decodes, and
            32 where most of the time is waiting for a store.
    """
    local = all(is_local(one.uri) for one in images)
    threads = threads or (2 * usable_cores() if local else retry.THREADS)
    waiting: deque[tuple[list[Source], int, Future[list[T]]]] = deque()
    held = 0
    with ThreadPoolExecutor(threads, thread_name_prefix="records") as pool:
        try:
            for batch, size in _batches(images, _BATCH if local else 1):
                while waiting and (len(waiting) >= threads * _AHEAD or held + size > _AHEAD_BYTES):
                    done, freed, future = waiting.popleft()
                    yield from zip(done, future.result(), strict=True)
                    held -= freed
                waiting.append((batch, size, pool.submit(_each, work, batch)))
                held += size
            for done, _, future in waiting:
                yield from zip(done, future.result(), strict=True)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _each(work: Callable[[Source], T], batch: Sequence[Source]) -> list[T]:
    return [work(one) for one in batch]


def _batches(images: Sequence[Source], most: int) -> Iterator[tuple[list[Source], int]]:
    """Groups of at most `most` images, each with its bytes; large files go alone."""
    batch: list[Source] = []
    size = 0
    for one in images:
        batch.append(one)
        size += one.size
        if len(batch) >= most or size >= _BATCH_BYTES:
            yield batch, size
            batch, size = [], 0
    if batch:
        yield batch, size
