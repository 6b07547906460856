"""Ordered parallel map with bounded look-ahead: many threads, results in the order of the items, flat memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

S = TypeVar("S")
T = TypeVar("T")

_BATCH_BYTES = 2**20  # a batch is handed over as soon as it holds as much
_AHEAD_BYTES = 256 * 2**20


def ordered_map(
    items: Iterable[S],
    work: Callable[[S], T],
    threads: int,
    *,
    batch: int = 1,
    ahead: int = 8,
    size: Callable[[S], int] = lambda _: 0,
    ahead_bytes: int = _AHEAD_BYTES,
) -> Generator[tuple[S, T], None, None]:
    """Each item with what `work` gives for it, in the order of `items`.

    An error in `work` ends the iteration, and so does closing it; what is queued by then is not begun.

    Args:
        items: what is worked on.
        work: called in a thread.
        threads: how many.
        batch: items handed to a thread at once: a hand-over costs as much as reading a small file.
        ahead: batches in flight per thread: one slow item holds up no other.
        size: bytes that an item, or its result, holds in memory.
        ahead_bytes: bytes in flight together; one item may be larger and is then alone.
    """
    waiting: deque[tuple[list[S], int, Future[list[T]]]] = deque()
    held = 0
    with ThreadPoolExecutor(threads, thread_name_prefix="ordered") as pool:
        try:
            for some, bytes_ in _batches(items, batch, size):
                while waiting and (len(waiting) >= threads * ahead or held + bytes_ > ahead_bytes):
                    done, freed, future = waiting.popleft()
                    yield from zip(done, future.result(), strict=True)
                    held -= freed
                waiting.append((some, bytes_, pool.submit(_each, work, some)))
                held += bytes_
            for done, _, future in waiting:
                yield from zip(done, future.result(), strict=True)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def chunks(items: Iterable[S], most: int) -> Iterator[list[S]]:
    """Lists of `most` items, the last one shorter."""
    for some, _ in _batches(items, most, lambda _: 0):
        yield some


def _each(work: Callable[[S], T], some: list[S]) -> list[T]:
    return [work(one) for one in some]


def _batches(items: Iterable[S], most: int, size: Callable[[S], int]) -> Iterator[tuple[list[S], int]]:
    """Groups of at most `most` items, each with its bytes; large items go alone."""
    some: list[S] = []
    held = 0
    for one in items:
        some.append(one)
        held += size(one)
        if len(some) >= most or held >= _BATCH_BYTES:
            yield some, held
            some, held = [], 0
    if some:
        yield some, held
