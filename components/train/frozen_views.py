"""Frozen layers computed once: what the first trained layer sees of some views of each image is kept as float16.

Layers that never change give the same maps in every epoch. They are computed before the first one, for the image
itself and for augmented views of it, and only the rest of the network is trained.
"""

from __future__ import annotations

import logging

import keras
import numpy as np
import numpy.typing as npt

from components.common.runtime.errors import ConfigError
from components.common.runtime.events import progress
from components.common.runtime.ordered import ordered_map
from components.common.runtime.resources import available_bytes
from components.train.augmentation import Augmentation, stream
from components.train.config import TrainConfig
from components.train.feed import AugmentedPictures, plain_batches
from components.train.records import CachedImages, SplitData
from components.train.steps import make_forward

log = logging.getLogger(__name__)
Half = npt.NDArray[np.float16]

_VIEW = 2  # augmentation draws from stream 0, the order from stream 1
_BATCH = 64
_LARGEST = float(np.finfo(np.float16).max)
_SHARE = 0.6  # of the memory that is left: training needs the rest


class FrozenViews:
    """Views of each image after the frozen layers; an image is shown another one in every epoch, in turn.

    Attributes:
        maps: (views, n, h, w, c) float16.
    """

    def __init__(self, maps: Half, seed: int) -> None:
        """Prepares views in an order that `seed` decides."""
        self.maps, self.seed = maps, seed

    def draw(self, epoch: int) -> npt.NDArray[np.int64]:
        """(n,) number of the view of each image; each image starts with a view of its own."""
        views, images = self.maps.shape[:2]
        first = np.asarray(stream(self.seed, 0, _VIEW).integers(views, size=images))
        return np.asarray((first + epoch) % views)

    def batch(self, chosen: npt.NDArray[np.int64], draw: npt.NDArray[np.int64]) -> Half:
        """float16 (b, h, w, c)."""
        return self.maps[draw, chosen]


def compute_views(
    prefix: keras.Model, train: SplitData, val: SplitData, config: TrainConfig, how: Augmentation
) -> tuple[FrozenViews, SplitData]:
    """What the first trained layer sees of `frozen_views` views of each training image, and of each validation image.

    View 0 is the image itself; view i is what training without cached views would show in epoch i.

    Args:
        prefix: RGB 0..255 (n, h, w, 3) to what the first trained layer sees.
        train: training images.
        val: what the run is judged by.
        config: number of views, seed.
        how: augmentation of the other views.

    Returns:
        The views, and `val` with what the first trained layer sees instead of its images.

    Raises:
        ConfigError: they do not fit into memory, or exceed the range of float16.
    """
    shape = tuple(prefix.output.shape[1:])
    refuse_more_than_fits(config.frozen_views, len(train.rows), len(val.rows), shape, available_bytes())
    forward = make_forward(prefix)
    pictures = AugmentedPictures(train, config.seed, how)
    maps = np.empty((config.frozen_views, len(train.rows), *shape), np.float16)
    kept = np.empty((len(val.rows), *shape), np.float16)
    with progress("frozen layers", config.frozen_views * len(train.rows) + len(val.rows)) as bar:

        def fill(out: Half, start: int, images: npt.NDArray[np.uint8]) -> None:
            seen = forward([images])
            if not np.abs(seen).max() <= _LARGEST:
                raise ConfigError(
                    f"frozen_views: received {config.frozen_views}; what layer {config.freeze_until!r} sees exceeds "
                    "the range of float16; allowed: 0 with this architecture and freeze_until"
                )
            out[start : start + len(images)] = seen
            bar.advance(len(images))

        for i, images in enumerate(plain_batches(val, _BATCH)):
            fill(kept, i * _BATCH, images)
        for i, images in enumerate(plain_batches(train, _BATCH)):
            fill(maps[0], i * _BATCH, images)
        for view in range(1, config.frozen_views):
            draw = pictures.draw(view)
            positions = [np.arange(i, min(i + _BATCH, len(draw))) for i in range(0, len(draw), _BATCH)]
            for chosen, images in ordered_map(positions, lambda some: pictures.batch(some, draw[some]), 1):  # noqa: B023
                fill(maps[view], int(chosen[0]), images)
    log.info("frozen layers: %d views of %d images kept, %.0f MB", *maps.shape[:2], maps.nbytes / 2**20)
    return FrozenViews(maps, config.seed), SplitData(val.rows, CachedImages(kept), cached=True)


def refuse_more_than_fits(views: int, train: int, val: int, shape: tuple[int, ...], free: int) -> None:
    """Refuses views that do not fit into memory.

    Args:
        views: of each training image.
        train: training images.
        val: images of the split that the run is judged by; one view each.
        shape: of one view.
        free: bytes that this process may still take.

    Raises:
        ConfigError: they need more than a share of `free`.
    """
    one = 2 * int(np.prod(shape))
    needed, most = one * (views * train + val), int(_SHARE * free)
    if needed > most:
        fit = max(0, (most - one * val) // (one * train))
        raise ConfigError(
            f"frozen_views: received {views}, which needs {needed} bytes of {free} free, of which {most} may be used; "
            f"allowed: at most {fit} here" + (", or 0 (compute frozen layers in every step)" if fit else "")
        )
