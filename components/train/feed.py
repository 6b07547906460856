"""The training feed: batches prepared ahead by threads; the seed alone decides their order and content."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from components.common.runtime.resources import usable_cores
from components.train.augmentation import Augmentation, Augmenter, augmentation_draws, stream
from components.train.records import SplitData

_ORDER = 1  # augmentation draws from stream 0
_AHEAD = 4  # batches per thread


@dataclass(frozen=True)
class Batch:
    """One step's data.

    Attributes:
        images: (b, h, w, 3) uint8.
        label: (b,) int32, 1 = malignant.
        dx: (b,) int32, class of the diagnosis target.
        weight: (b,) float32, loss weight of each image; None where the loss weighs by class or not at all.
    """

    images: npt.NDArray[np.uint8]
    label: npt.NDArray[np.int32]
    dx: npt.NDArray[np.int32]
    weight: npt.NDArray[np.float32] | None


class TrainFeed:
    """Shuffled, augmented batches of one split; the last, incomplete batch of an epoch is left out.

    Attributes:
        waited: seconds the caller has waited for a batch since it last set this to 0.
    """

    def __init__(
        self,
        data: SplitData,
        batch_size: int,
        seed: int,
        how: Augmentation,
        weight: npt.NDArray[np.float32] | None = None,
        threads: int = 0,
    ) -> None:
        """Prepares a feed; threads start with the first epoch.

        Args:
            data: the split.
            batch_size: images per batch; more than there are means one batch of all.
            seed: decides order and augmentation.
            how: augmentation.
            weight: (2,) loss weight by label, given with each image; None for none.
            threads: how many prepare batches; 0: one less than the container's cores, at least one.
        """
        self.data, self.seed, self.how, self.weight = data, seed, how, weight
        self.batch_size = min(batch_size, len(data.rows))
        self.steps = len(data.rows) // self.batch_size
        self.threads = threads or max(1, usable_cores() - 1)
        self.waited = 0.0
        self._of_thread = threading.local()
        cv2.setNumThreads(1)  # each batch has a thread of its own

    def order(self, epoch: int) -> npt.NDArray[np.int64]:
        """Positions of the images in this epoch's order."""
        return stream(self.seed, epoch, _ORDER).permutation(len(self.data.rows))

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        """The batches of one epoch, from `first_step` on; closing the iterator ends its threads."""
        started = time.perf_counter()
        order = self.order(epoch)
        draw = augmentation_draws(self.seed, epoch, len(order))
        steps = iter(range(first_step, self.steps))
        pending: deque[Future[Batch]] = deque()
        pool = ThreadPoolExecutor(self.threads, thread_name_prefix="feed")
        try:
            for step in steps:
                pending.append(pool.submit(self._batch, order, draw, step))
                if len(pending) >= _AHEAD * self.threads:
                    break
            while pending:
                batch = pending.popleft().result()
                self.waited += time.perf_counter() - started
                for step in steps:
                    pending.append(pool.submit(self._batch, order, draw, step))
                    break
                yield batch
                started = time.perf_counter()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _batch(self, order: npt.NDArray[np.int64], draw: npt.NDArray[np.float64], step: int) -> Batch:
        chosen = order[step * self.batch_size : (step + 1) * self.batch_size]
        images = [self.data.images.get(i) for i in chosen.tolist()]
        out = np.empty((len(images), *images[0].shape), np.uint8)
        self._augmenter(out.shape[1:3]).into(out, images, draw[chosen])
        label = self.data.rows.label[chosen].astype(np.int32)
        weight = None if self.weight is None else self.weight[label]
        return Batch(out, label, self.data.rows.dx[chosen], weight)

    def _augmenter(self, size: tuple[int, int]) -> Augmenter:
        if not hasattr(self._of_thread, "augmenter"):
            self._of_thread.augmenter = Augmenter(size, self.how)
        augmenter: Augmenter = self._of_thread.augmenter
        return augmenter


def plain_batches(data: SplitData, batch_size: int) -> Iterator[npt.NDArray[np.uint8]]:
    """Every image of a split in record order, unchanged; uint8 (b, h, w, 3)."""
    for start in range(0, len(data.rows), batch_size):
        stop = min(start + batch_size, len(data.rows))
        yield np.stack([data.images.get(i) for i in range(start, stop)])
