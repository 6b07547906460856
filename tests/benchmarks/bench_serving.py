"""The serving graph on one CPU core: latency of one image, and a batch against its own parts, in one run.

Batch: 32 files through the bundle, against the bare Keras network fed with ready tensors plus a plain
decode of the same files. The bundle holds the network's weights as constants, which TensorFlow folds; the
same network with constants is printed too, so that it shows what the rest (headers, resize, calibration,
tf.data) costs. Throughput is measured in CPU time of this process, which runs on one thread: wall time
would measure the neighbours as well. Latency is wall time, with the CPU time beside it.
"""

from __future__ import annotations

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["OMP_NUM_THREADS"] = "1"

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles

import numpy as np
import simplejpeg
import tensorflow as tf

from components.common.artifacts.policy import Calibrator, DecisionPolicy
from components.common.bundle.preprocessing import Preparation
from components.common.bundle.selftest import generated_image
from components.common.imaging import pixels
from components.export.graph import with_constants, write_saved_model
from components.train.config import TrainConfig
from components.train.network import build_network

SIZE = (144, 192)
CLASSES = {"akiec": 1, "bcc": 1, "bkl": 0, "df": 0, "mel": 1, "nv": 0, "vasc": 0}
LATENCY_GOAL_MS, BATCH_GOAL = 50.0, 0.9


def seconds(work: Callable[[], object], repeats: int, clock: Callable[[], float]) -> list[float]:
    """Seconds of each call, after two calls that are not counted."""
    work(), work()
    times = []
    for _ in range(repeats):
        started = clock()
        work()
        times.append(clock() - started)
    return times


def in_turn(works: list[Callable[[], object]], rounds: int) -> list[float]:
    """CPU seconds of each piece of work: median over rounds in which all take their turn."""
    table = [[seconds(work, 1, time.process_time)[0] for work in works] for _ in range(rounds)]
    return [median(column) for column in zip(*table, strict=True)]


def measure(architecture: str, files: list[bytes], folder: Path) -> bool:
    """Prints three lines for one backbone; true when both goals are met."""
    config = TrainConfig(architecture=architecture, image_size=f"{SIZE[0]}x{SIZE[1]}", weights="none")
    network = build_network(config, CLASSES).scorer
    policy = DecisionPolicy(Calibrator("platt", 1.4, {"a": 0.9, "b": 0.1}), 0.0, 0.3, {}, {}, 0.2, "m", "v")
    write_saved_model(network, policy, Preparation(SIZE, min(SIZE)), folder / architecture)
    loaded = tf.saved_model.load(str(folder / architecture))
    serve = loaded.signatures["serving_default"]
    one, batch = tf.constant(files[:1]), tf.constant(files)

    def ask(images: tf.Tensor) -> np.ndarray:
        return serve(image_bytes=images)["probability"].numpy()

    wall = seconds(lambda: ask(one), 100, time.perf_counter)
    cpu = seconds(lambda: ask(one), 100, time.process_time)
    p95 = quantiles(wall, n=20)[-1] * 1e3
    ready = tf.constant(np.random.default_rng(0).uniform(0, 255, (len(files), *SIZE, 3)).astype(np.float32))
    bare, folded = (
        tf.function(lambda x, f=f: f(x, training=False), [tf.TensorSpec([None, *SIZE, 3], tf.float32)])
        for f in (network, with_constants(network))
    )
    network_s, folded_s, decode_s, bundle_s = in_turn(
        [
            lambda: bare(ready).numpy(),
            lambda: folded(ready).numpy(),
            lambda: [simplejpeg.decode_jpeg(data) for data in files],
            lambda: ask(batch),
        ],
        9,
    )
    ratio = (network_s + decode_s) / bundle_s
    sys.stdout.write(
        f"{architecture:20} one 600x450 image: p50 {median(wall) * 1e3:5.1f} ms, p95 {p95:5.1f} ms "
        f"(goal < {LATENCY_GOAL_MS:.0f}); of CPU p50 {median(cpu) * 1e3:.1f} ms\n"
        f"{'':20} batch of {len(files)}: bundle {bundle_s * 1e3:.0f} ms, bare Keras network {network_s * 1e3:.0f} ms + "
        f"decode {decode_s * 1e3:.0f} ms, throughput ratio {ratio:.2f} (goal >= {BATCH_GOAL})\n"
        f"{'':20} network with constants {folded_s * 1e3:.0f} ms; ratio against it and the decode "
        f"{(folded_s + decode_s) / bundle_s:.2f}\n"
    )
    return p95 < LATENCY_GOAL_MS and ratio >= BATCH_GOAL


def main() -> int:
    """Measures the backbones named on the command line, or two small ones, on one thread."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    files = [pixels.encode_jpeg(generated_image(seed), 90) for seed in range(32)]
    with tempfile.TemporaryDirectory() as folder:
        met = [measure(name, files, Path(folder)) for name in sys.argv[1:] or ("efficientnet_lite0", "mobilenet_v2")]
    sys.stdout.write("goals met\n" if all(met) else "a goal was missed\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
