"""Run by test_backend in a process of its own, with RECORDS and SCRATCH as arguments: training on JAX.

SCRATCH holds `start.npz`, the weights to start from; prints one JSON object.
"""

import json
import os
import signal
import sys
from pathlib import Path

import keras
import numpy as np

from components.train import loop
from components.train.__main__ import main
from components.train.augmentation import Augmentation
from components.train.backbones import build_backbone
from components.train.class_balance import loss_weights
from components.train.config import TrainConfig
from components.train.feed import TrainFeed
from components.train.network import build_network
from components.train.records import load_split
from components.train.steps import make_optimizer, make_train_step

CLASSES = {"bkl": 0, "mel": 1, "nv": 0}
PLAIN = {
    "architecture": "small_cnn",
    "image_size": "32x40",
    "epochs": "2",
    "batch_size": "16",
    "seed": "5",
    "learning_rate": "0.003",
    "average": "0.9",
    "deterministic": "true",
}


def losses(records, start, policy, **values):
    """Loss of the first six steps from given weights."""
    keras.config.set_dtype_policy(policy)
    config = TrainConfig.parse({**PLAIN, "dropout": 0.0, **values})
    network = build_network(config, CLASSES)
    keras.config.set_dtype_policy("float32")
    if start is not None:
        network.classifier.set_weights(start)
    data = load_split(records, "train", (32, 40), "memory")
    weights = loss_weights(config.class_balance, data.rows.label)
    optimizer = make_optimizer(config, network, policy)
    step = make_train_step(config, network, optimizer, compile_xla=False)
    feed = TrainFeed(data, 16, 5, Augmentation(), weights)
    return [float(step(batch)) for batch in feed.epoch(0)], optimizer


def train(records, out, place, stop_after=None, **values):
    """The step's command; sends itself SIGTERM in step `stop_after`. Returns the exit code."""
    arguments = ["--records", str(records), "--out", str(out), "--checkpoint_dir", place]
    for name, value in {**PLAIN, **values}.items():
        arguments += [f"--{name}", value]
    count, original = [0], loop.learning_rate

    def counted(*given):
        count[0] += 1
        if count[0] == stop_after:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(*given)

    loop.learning_rate = counted
    try:
        return main(arguments)
    finally:
        loop.learning_rate = original


def report(records, scratch):
    with np.load(scratch / "start.npz") as file:
        start = [file[name] for name in sorted(file.files, key=int)]
    half, optimizer = losses(records, None, "mixed_float16")
    place, weights = str(scratch / "state"), scratch / "small_cnn.weights.h5"
    build_backbone("small_cnn", (32, 40), "none").save_weights(weights)
    frozen = {"weights": str(weights), "freeze_until": "conv2", "frozen_views": "2", "epochs": "1"}
    return {
        "losses": losses(records, start, "float32")[0],
        "losses_sample_weight": losses(records, start, "float32", class_balance="sample_weight")[0],
        "losses_float16": half,
        "loss_scale": float(optimizer.dynamic_scale),
        "codes": [
            train(records, scratch / "undisturbed", ""),
            train(records, scratch / "model", place, stop_after=10),
            train(records, scratch / "model", place),
            train(records, scratch / "frozen", "", **frozen),
        ],
        "tensorflow": "tensorflow" in sys.modules,
    }


if __name__ == "on_jax":
    sys.stdout.write(json.dumps(report(*map(Path, sys.argv[2:]))))
