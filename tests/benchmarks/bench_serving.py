"""The serving graph on one CPU core: latency of one image, and a batch against its own parts, in one run.

Batch: 32 files through the bundle, against the bare Keras network fed with ready tensors plus a plain
decode of the same files. Everything beyond these two (headers, resize, calibration, tf.data) is
overhead of ours.
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

from components.common import imaging
from components.common.decision import Calibrator, DecisionPolicy
from components.export.graph import Preparation, write_saved_model
from components.export.selftest import generated_image
from components.train.config import TrainConfig
from components.train.network import build_network

SIZE = (144, 192)
CLASSES = {"akiec": 1, "bcc": 1, "bkl": 0, "df": 0, "mel": 1, "nv": 0, "vasc": 0}
LATENCY_GOAL_MS, BATCH_GOAL = 50.0, 0.9


def seconds(work: Callable[[], object], repeats: int) -> list[float]:
    """Wall seconds of each call, after two calls that are not counted."""
    work(), work()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return times


def measure(architecture: str, files: list[bytes], folder: Path) -> bool:
    """Prints two lines for one backbone; true when both goals are met."""
    config = TrainConfig(architecture=architecture, image_size=f"{SIZE[0]}x{SIZE[1]}")
    network = build_network(config, CLASSES).scorer
    policy = DecisionPolicy(Calibrator("platt", 1.4, {"a": 0.9, "b": 0.1}), 0.0, 0.3, {}, {}, 0.2, "m", "v")
    write_saved_model(network, policy, Preparation(SIZE, min(SIZE)), folder / architecture)
    loaded = tf.saved_model.load(str(folder / architecture))
    serve = loaded.signatures["serving_default"]
    one, batch = tf.constant(files[:1]), tf.constant(files)

    def ask(images: tf.Tensor) -> np.ndarray:
        return serve(image_bytes=images)["probability"].numpy()

    latency = seconds(lambda: ask(one), 60)
    p95 = quantiles(latency, n=20)[-1] * 1e3
    bare = tf.function(lambda x: network(x, training=False), [tf.TensorSpec([None, *SIZE, 3], tf.float32)])
    ready = tf.constant(np.random.default_rng(0).uniform(0, 255, (len(files), *SIZE, 3)).astype(np.float32))
    # taken in turn, so that a slow moment of the machine falls on both sides
    rounds = [
        (
            seconds(lambda: bare(ready).numpy(), 1)[0],
            seconds(lambda: [simplejpeg.decode_jpeg(data) for data in files], 1)[0],
            seconds(lambda: ask(batch), 1)[0],
        )
        for _ in range(7)
    ]
    network_s, decode_s, bundle_s = (median(column) for column in zip(*rounds, strict=True))
    ratio = median((n + d) / b for n, d, b in rounds)
    sys.stdout.write(
        f"{architecture:20} one 600x450 image: p50 {median(latency) * 1e3:5.1f} ms, p95 {p95:5.1f} ms "
        f"(goal < {LATENCY_GOAL_MS:.0f})\n"
        f"{'':20} batch of {len(files)}: bundle {bundle_s * 1e3:.0f} ms, network {network_s * 1e3:.0f} ms + decode "
        f"{decode_s * 1e3:.0f} ms, throughput ratio {ratio:.2f} (goal >= {BATCH_GOAL})\n"
    )
    return p95 < LATENCY_GOAL_MS and ratio >= BATCH_GOAL


def main() -> int:
    """Measures both small backbones on one thread."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    files = [imaging.encode_jpeg(generated_image(seed), 90) for seed in range(32)]
    with tempfile.TemporaryDirectory() as folder:
        met = [measure(name, files, Path(folder)) for name in ("efficientnet_lite0", "mobilenet_v2")]
    sys.stdout.write("goals met\n" if all(met) else "a goal was missed\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
