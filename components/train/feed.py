"""The training feed: batches prepared ahead by threads; the seed alone decides their order and content."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from components.common.runtime.ordered import ordered_map
from components.common.runtime.resources import usable_cores
from components.train.augmentation import Augmentation, Augmenter, augmentation_draws, stream
from components.train.records import SplitData

_ORDER = 1  # augmentation draws from stream 0
_AHEAD = 4  # batches per thread


@dataclass(frozen=True)
class Batch:
    """One step's data.

    Attributes:
        images: (b, h, w, 3) uint8; or float16, what the first trained layer sees of them, see `frozen_views`.
        label: (b,) int32, 1 = malignant.
        dx: (b,) int32, class of the diagnosis target.
        weight: (b,) float32, loss weight of each image.
    """

    images: npt.NDArray[Any]
    label: npt.NDArray[np.int32]
    dx: npt.NDArray[np.int32]
    weight: npt.NDArray[np.float32]


class Pictures(Protocol):
    """What the network is shown of a split; `batch` may be called from several threads."""

    def draw(self, epoch: int) -> npt.NDArray[Any]:
        """(n, ...) random numbers of an epoch, one row per image of the split."""
        ...

    def batch(self, chosen: npt.NDArray[np.int64], draw: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """(b, h, w, c) of the images at the positions `chosen`, given their rows of `draw`."""
        ...


class AugmentedPictures:
    """A new augmented view of each image in every epoch."""

    def __init__(self, data: SplitData, seed: int, how: Augmentation) -> None:
        """Prepares views of `data` that `seed` decides."""
        self.data, self.seed, self.how = data, seed, how
        self._of_thread = threading.local()
        cv2.setNumThreads(1)  # each batch has a thread of its own

    def draw(self, epoch: int) -> npt.NDArray[np.float64]:
        """(n, DRAWS) uniform numbers in [0, 1)."""
        return augmentation_draws(self.seed, epoch, len(self.data.rows))

    def batch(self, chosen: npt.NDArray[np.int64], draw: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
        """uint8 (b, h, w, 3)."""
        images = [self.data.images.get(i) for i in chosen.tolist()]
        out = np.empty((len(images), *images[0].shape), np.uint8)
        self._augmenter(out.shape[1:3]).into(out, images, draw)
        return out

    def _augmenter(self, size: tuple[int, int]) -> Augmenter:
        if not hasattr(self._of_thread, "augmenter"):
            self._of_thread.augmenter = Augmenter(size, self.how)
        augmenter: Augmenter = self._of_thread.augmenter
        return augmenter


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
        how: Augmentation | Pictures,
        weight: npt.NDArray[np.float32],
        threads: int = 0,
    ) -> None:
        """Prepares a feed; threads start with the first epoch.

        Args:
            data: the split.
            batch_size: images per batch; more than there are means one batch of all.
            seed: decides order and augmentation.
            how: augmentation, or what else the network is shown of each image.
            weight: (2,) loss weight by label.
            threads: how many prepare batches; 0: one less than the container's cores, at least one.
        """
        self.data, self.seed, self.weight = data, seed, weight
        self.pictures = AugmentedPictures(data, seed, how) if isinstance(how, Augmentation) else how
        self.batch_size = min(batch_size, len(data.rows))
        self.steps = len(data.rows) // self.batch_size
        self.threads = threads or max(1, usable_cores() - 1)
        self.waited = 0.0

    def order(self, epoch: int) -> npt.NDArray[np.int64]:
        """Positions of the images in this epoch's order."""
        return stream(self.seed, epoch, _ORDER).permutation(len(self.data.rows))

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        """The batches of one epoch, from `first_step` on; closing the iterator ends its threads."""
        started = time.perf_counter()
        order = self.order(epoch)
        draw = self.pictures.draw(epoch)
        steps = range(first_step, self.steps)
        batches = ordered_map(steps, lambda step: self._batch(order, draw, step), self.threads, ahead=_AHEAD)
        with closing(batches):
            for _, batch in batches:
                self.waited += time.perf_counter() - started
                yield batch
                started = time.perf_counter()

    def _batch(self, order: npt.NDArray[np.int64], draw: npt.NDArray[Any], step: int) -> Batch:
        chosen = order[step * self.batch_size : (step + 1) * self.batch_size]
        label = self.data.rows.label[chosen].astype(np.int32)
        pixels = self.pictures.batch(chosen, draw[chosen])
        return Batch(pixels, label, self.data.rows.dx[chosen], self.weight[label])


def plain_batches(data: SplitData, batch_size: int) -> Iterator[npt.NDArray[Any]]:
    """Every image of a split in record order, unchanged; (b, h, w, 3) uint8, or what else its images are."""
    for start in range(0, len(data.rows), batch_size):
        stop = min(start + batch_size, len(data.rows))
        yield np.stack([data.images.get(i) for i in range(start, stop)])
