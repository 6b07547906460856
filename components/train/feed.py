"""The training feed: shuffled, warped batches made by threads while the device computes."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.train.augment import Warps, apply_warp, draw_warps
from components.train.config import TrainConfig
from components.train.examples import Examples

_AHEAD = 4  # batches made before they are asked for


@dataclass(frozen=True)
class Batch:
    """One training step's input.

    Attributes:
        images: (b, h, w, 3) uint8.
        rows: (b,) row of each image in the examples.
    """

    images: npt.NDArray[np.uint8]
    rows: npt.NDArray[np.int64]


class Feed:
    """Batches of one split, epoch by epoch; `waited_s` counts the seconds the consumer stood still."""

    def __init__(self, examples: Examples, config: TrainConfig, threads: int = 2) -> None:
        self.examples, self.config, self.threads = examples, config, threads
        self.waited_s = 0.0

    @property
    def steps(self) -> int:
        """Batches an epoch; a last, smaller batch is left out so that every step weighs the same."""
        return max(1, len(self.examples) // self.config.batch_size)

    def order(self, epoch: int) -> npt.NDArray[np.int64]:
        """(n,) rows in the order of `epoch`, from seed and epoch alone."""
        key = [self.config.seed ^ 0x5EED, epoch]
        return np.random.Generator(np.random.Philox(key=key)).permutation(len(self.examples)).astype(np.int64)

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """The batches of one epoch (counted from 0), made ahead by threads."""
        order, warps = self.order(epoch), draw_warps(self.config, len(self.examples), epoch)
        ready: queue.Queue[Batch | BaseException] = queue.Queue(_AHEAD)
        stop = threading.Event()
        maker = threading.Thread(target=self._make, args=(order, warps, ready, stop), daemon=True)
        maker.start()
        try:
            for _ in range(self.steps):
                started = time.perf_counter()
                item = ready.get()
                self.waited_s += time.perf_counter() - started
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            stop.set()
            while not ready.empty():  # the maker may be blocked on a full queue
                ready.get_nowait()
            maker.join()

    def _make(
        self,
        order: npt.NDArray[np.int64],
        warps: Warps,
        ready: queue.Queue[Batch | BaseException],
        stop: threading.Event,
    ) -> None:
        try:
            with ThreadPoolExecutor(self.threads) as pool:
                for step in range(self.steps):
                    if stop.is_set():
                        return
                    start = step * self.config.batch_size
                    ready.put(self._batch(order[start : start + self.config.batch_size], warps, pool))
        except BaseException as error:  # handed to the consumer, which raises it
            ready.put(error)

    def _batch(self, rows: npt.NDArray[np.int64], warps: Warps, pool: ThreadPoolExecutor) -> Batch:
        images = np.empty((len(rows), *self.examples.images.shape[1:]), np.uint8)

        def one(i: int) -> None:
            apply_warp(self.examples.images[rows[i]], warps, int(rows[i]), images[i])

        list(pool.map(one, range(len(rows)), chunksize=8))
        return Batch(images, rows)
