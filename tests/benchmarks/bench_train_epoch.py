"""What metrics cost in an epoch, and how many passes of the backbone a linear probe of 20 epochs takes.

Metrics: an epoch of HAM10000's size (7,010 images, 1,500 for validation) with `small_cnn` at 72x96, the network
whose epoch is shortest, so that the share is largest. Baseline: the epoch without them. Probe: `warm_up_head` on
EfficientNet-Lite0 at 96x128 against 20 passes of the backbone, the least that training the head on images would
take. CPU seconds of the whole process.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from components.train.augmentation import Augmentation
from components.train.backend import prepare_backend
from components.train.class_balance import loss_weights
from components.train.config import TrainConfig
from components.train.epoch_report import Cost, history_csv, history_row, log_epoch
from components.train.feed import TrainFeed, plain_batches
from components.train.metrics import validation_metrics
from components.train.records import CachedImages, Rows, SplitData
from components.train.schedule import RunState

TRAIN, VAL, PROBE, EPOCHS = 7010, 1500, 256, 20
CLASSES = {"mel": 1, "nv": 0}


def main() -> None:
    """Prints a block for each of the two."""
    logging.getLogger("components.train.epoch_report").addFilter(lambda _: False)
    prepare_backend(deterministic=False)
    metrics_share()
    probe_passes()


def noise(count: int, size: tuple[int, int]) -> SplitData:
    """Images of noise in memory, a fifth of them malignant."""
    rng = np.random.default_rng(count)
    label = (rng.random(count) < 0.195).astype(np.int8)
    text = np.array([str(i) for i in range(count)])
    pixels = rng.integers(0, 256, (count, *size, 3), np.uint8)
    return SplitData(Rows(text, text, text, label, 1 - label.astype(np.int32)), CachedImages(pixels), True)


def metrics_share() -> None:
    """Prints what an epoch's parts take."""
    from components.train.network import build_network
    from components.train.steps import make_forward, make_optimizer, make_train_step
    from components.train.tensorboard import scalar_writer

    config = TrainConfig.parse({"architecture": "small_cnn", "image_size": "72x96"})
    train, val = noise(TRAIN, config.height_width), noise(VAL, config.height_width)
    network = build_network(config, CLASSES)
    weights = loss_weights(config.class_balance, train.rows.label)
    step = make_train_step(config, network, make_optimizer(config, network, "float32"), compile_xla=False)
    feed, forward = TrainFeed(train, config.batch_size, 0, Augmentation(), weights), make_forward(network.outputs)

    def score() -> Any:
        return forward(plain_batches(val, 64))[:, -1]

    step(next(iter(feed.epoch(0))))  # compiles
    logit = score()
    steps = cpu_seconds(lambda: [float(step(batch)) for batch in feed.epoch(1)])
    scoring = cpu_seconds(score)
    with tempfile.TemporaryDirectory() as folder:
        watch = scalar_writer(Path(folder))

        def report() -> None:
            row = history_row(1, 1e-3, 0.5, validation_metrics(val.rows.label, logit, 0.5), Cost(TRAIN, 1.0))
            watch(row)
            log_epoch(row, config, RunState(epoch=1, best_epoch=1, best=0.5))
            history_csv([row])

        metrics = cpu_seconds(lambda: [report() for _ in range(20)]) / 20
    epoch = steps + scoring
    write(f"epoch of {TRAIN:,} images, small_cnn at 72x96, CPU seconds:")
    write(
        f"  training {steps:.2f}, scoring {VAL:,} validation images {scoring:.2f}, metrics, row and block {metrics:.4f}"
    )
    write(f"  metrics take {metrics / epoch:.2%} of the epoch; with the scoring {(scoring + metrics) / epoch:.1%}")


def probe_passes() -> None:
    """Prints what a linear probe takes, in passes of the backbone."""
    from components.train.head_warmup import warm_up_head
    from components.train.network import build_network
    from components.train.steps import make_forward

    config = TrainConfig.parse({"weights": "none", "image_size": "96x128", "head_epochs": EPOCHS})
    data = noise(PROBE, config.height_width)
    network = build_network(config, CLASSES)
    weights = loss_weights(config.class_balance, data.rows.label)
    forward = make_forward(network.features)
    forward(plain_batches(data, 64))  # compiles
    passes = [cpu_seconds(lambda: forward(plain_batches(data, 64))) for _ in range(EPOCHS)]
    probe = cpu_seconds(lambda: warm_up_head(config, network, data, weights))
    one = sum(passes) / EPOCHS
    write(f"linear probe of {EPOCHS} epochs on {PROBE} images, EfficientNet-Lite0 at 96x128, CPU seconds:")
    write(f"  {EPOCHS} passes of the backbone {sum(passes):.1f}, the probe with its compilation {probe:.1f}")
    write(f"  the probe takes {probe / one:.1f} passes, {sum(passes) / probe:.1f} times less than {EPOCHS}")


def cpu_seconds(work: Callable[[], Any]) -> float:
    """CPU seconds of all threads of this process."""
    started = time.process_time()
    work()
    return time.process_time() - started


def write(line: str) -> None:
    """Prints one line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
