"""A FIFO byte semaphore that bounds the memory worker threads use at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import Condition

SMALL = 2**20  # bytes that are given without asking: even a hundred threads with as much each are no danger


class ByteSemaphore:
    """Bytes in use by all threads together; at most `total`, or one request alone that is larger than that.

    Requests are met in the order in which they came, so that small ones never keep a large one waiting for ever.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self._free = total
        self._waiting: deque[object] = deque()
        self._changed = Condition()

    def take(self, size: int) -> AbstractContextManager[None]:
        """Holds `size` bytes, as soon as they are free, for the time of a `with` block; small sizes at once.

        A thread that holds bytes of a semaphore must not ask it for more.
        """
        return nullcontext() if size <= SMALL else self._taken(min(size, self.total))

    @contextmanager
    def _taken(self, size: int) -> Iterator[None]:
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            try:
                self._changed.wait_for(lambda: self._waiting[0] is ticket and size <= self._free)
                self._free -= size
            finally:
                self._waiting.remove(ticket)
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._free += size
                self._changed.notify_all()
