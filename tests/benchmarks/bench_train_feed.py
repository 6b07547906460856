"""The training feed against the usual generator, in one run and on one core: images a second at 224x224.

Baseline: `cv2.imread` of 450x600 files, resize, and flip, rotation and zoom as one warp each, to float32.
Ours: uint8 cache of records made for training, one warp an image; its decoding is counted as one epoch of
`EPOCHS`. Also: what validation metrics cost, for 1,500 and 100,000 images.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from components.train.augmentation import Augmentation
from components.train.feed import TrainFeed
from components.train.metrics import validation_metrics
from components.train.records import CachedImages, Rows, SplitData, working_view

IMAGES, SIDE, EPOCHS, BATCH = 256, 224, 20, 32


def picture(rng: np.random.Generator) -> np.ndarray:
    """A smooth 450x600 image, so that JPEG files have a photograph's size."""
    return cv2.resize(rng.integers(40, 220, (30, 40, 3)).astype(np.uint8), (600, 450), interpolation=cv2.INTER_CUBIC)


def usual(paths: list[Path], rng: np.random.Generator) -> None:
    """One epoch of the generator that tutorials show."""
    for start in range(0, len(paths), BATCH):
        batch = []
        for path in paths[start : start + BATCH]:
            image = cv2.resize(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB), (SIDE, SIDE))
            image = np.fliplr(image) if rng.random() < 0.5 else image
            for angle, scale in ((rng.uniform(-180, 180), 1.0), (0.0, rng.uniform(0.85, 1.15))):
                matrix = cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), angle, scale)
                image = cv2.warpAffine(np.ascontiguousarray(image), matrix, (SIDE, SIDE))
            batch.append(image.astype(np.float32) / 255.0)
        np.stack(batch)


def compare_feeds() -> None:
    """Prints one line."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{i}.jpg" for i in range(IMAGES)]
        encoded = []
        for path in paths:
            image = picture(rng)
            cv2.imwrite(str(path), image)
            small = cv2.resize(image, (299, 224), interpolation=cv2.INTER_AREA)
            encoded.append(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes())
        cv2.setNumThreads(1)
        started = time.process_time()
        usual(paths, rng)
        theirs = (time.process_time() - started) / IMAGES
    started = time.process_time()
    pixels = np.stack([working_view(data, (SIDE, SIDE)) for data in encoded])
    decoding = (time.process_time() - started) / IMAGES
    text, zeros = np.array([str(i) for i in range(IMAGES)]), np.zeros(IMAGES, np.int32)
    rows = Rows(text, text, text, zeros.astype(np.int8), zeros)
    feed = TrainFeed(SplitData(rows, CachedImages(pixels), True), BATCH, 0, Augmentation(), threads=1)
    started = time.process_time()
    for epoch in range(3):
        for _ in feed.epoch(epoch):
            pass
    ours = (time.process_time() - started) / (3 * IMAGES) + decoding / EPOCHS
    sys.stdout.write(
        f"feed at {SIDE}x{SIDE}, per core: usual generator {1 / theirs:6.0f} images/s, ours {1 / ours:6.0f} images/s, "
        f"ratio {theirs / ours:.1f}\n"
    )


def metrics_cost() -> None:
    """Prints one line a size."""
    rng = np.random.default_rng(0)
    for n in (1_500, 100_000):
        label = (rng.random(n) < 0.2).astype(np.int8)
        logit = rng.normal(label * 2.0, 1.0)
        started = time.process_time()
        for _ in range(5):
            validation_metrics(label, logit)
        sys.stdout.write(f"validation metrics of {n:>7,} images: {(time.process_time() - started) / 5 * 1e3:.2f} ms\n")


if __name__ == "__main__":
    compare_feeds()
    metrics_cost()
