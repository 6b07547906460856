"""Run by `test_replicas.py` in a process of its own: TensorFlow splits the CPU into two devices before it starts."""

import json
import os
import signal
import sys
import threading
import time
import zipfile
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf

from components.train.__main__ import main as train_command
from components.train.augmentation import Augmentation
from components.train.checkpoint import NAME
from components.train.class_balance import loss_weights
from components.train.config import TrainConfig
from components.train.device import find_device
from components.train.feed import TrainFeed
from components.train.loop import Loop
from components.train.network import build_network
from components.train.records import load_split
from components.train.replicas import make_strategy, scope, share_batch_statistics
from components.train.steps import make_optimizer, make_train_step
from components.train.weight_average import WeightAverage

STEPS = 4
CLASSES = {"bkl": 0, "mel": 1, "nv": 0}
PLAIN = {
    "architecture": "small_cnn",
    "image_size": "32x40",
    "epochs": 2,
    "learning_rate": 3e-3,
    "seed": 5,
    "dropout": 0.0,
}


def train(records: Path, strategy, policy="float32", overflow=-1, shared=True, **values):
    """Losses of a few steps, and the values of all variables after them, of network and optimizer."""
    config = TrainConfig.parse({**PLAIN, "batch_size": 18, **values})
    keras.config.set_dtype_policy(policy)
    data = load_split(records, "train", (32, 40), "memory")
    keras.utils.set_random_seed(config.seed)
    with scope(strategy):
        network = build_network(config, CLASSES)
        share_batch_statistics(network.classifier, shared=shared and strategy is not None)
        optimizer = make_optimizer(config, network, policy)
        weights = loss_weights(config.class_balance, data.rows.label)
        step = make_train_step(config, network, optimizer, compile_xla=False, strategy=strategy)
    feed = TrainFeed(data, config.batch_size, config.seed, Augmentation(), weights)
    losses = []
    for number, batch in enumerate(feed.epoch(0)):
        if number == STEPS:
            break
        # an overflow in the share of the second device only
        spoilt = replace(batch, weight=np.where(np.arange(18) == 17, np.inf, 1.0).astype(np.float32))
        losses.append(float(step(spoilt if number == overflow else batch)))
    keras.config.set_dtype_policy("float32")
    average = WeightAverage(network.classifier.variables, 0.0)
    loop = Loop(config, network, optimizer, step, feed, data, average, None, [])
    return {
        "losses": losses,
        "weights": [v.numpy() for v in network.classifier.variables],
        "optimizer": [np.asarray(v.numpy()) for v in optimizer.variables],
        "scores": loop.score().logit,
        "scale": scale_of(optimizer),
        "copies": copies(strategy, network),
    }


def scale_of(optimizer) -> float:
    """The loss scale; 1 where there is none."""
    dynamic = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    return float(optimizer.dynamic_scale.numpy()) if dynamic else 1.0


def copies(strategy, network) -> float:
    """Largest difference between the devices' copies of any variable that is kept equal."""
    if strategy is None:
        return 0.0
    local = [strategy.experimental_local_results(v.value) for v in network.classifier.trainable_variables]
    return max(float(np.abs(a.numpy() - b.numpy()).max()) for a, b in local)


def gap(left, right, key) -> float:
    """Largest difference relative to the size of each array."""
    pairs = zip(left[key], right[key], strict=True)
    return max(float(np.abs(a - b).max() / (np.abs(a).max() + 1e-6)) for a, b in pairs)


def resumed(records: Path, folder: Path) -> dict[str, object]:
    """The command itself on both devices: undisturbed, and stopped by SIGTERM in its second epoch and run again."""
    state = folder / "state"
    plain = {
        "architecture": "small_cnn",
        "image_size": "32x40",
        "batch_size": "6",
        "epochs": "3",
        "seed": "5",
        "learning_rate": "3e-3",
        "average": "0.5",
        "deterministic": "true",
        "head_epochs": "2",
    }
    calm = command(records, folder / "calm", plain)
    stop = threading.Thread(target=terminate_after_first_epoch, args=(state / NAME,), daemon=True)
    stop.start()
    stopped = command(records, folder / "model", {**plain, "checkpoint_dir": str(state)})
    again = command(records, folder / "model", {**plain, "checkpoint_dir": str(state)})
    return {"codes": [calm, stopped, again], "calm": str(folder / "calm"), "model": str(folder / "model")}


def command(records: Path, out: Path, values: dict[str, str]) -> int:
    """`python -m components.train` in this process, whose CPU is two devices."""
    arguments = ["--records", str(records), "--out", str(out)]
    for name, value in values.items():
        arguments += [f"--{name}", value]
    return train_command(arguments)


def terminate_after_first_epoch(path: Path) -> None:
    """Sends SIGTERM when the checkpoint holds an epoch."""
    while True:
        time.sleep(0.005)
        if path.exists():
            with zipfile.ZipFile(path) as archive:
                state = json.loads(archive.read("header.json"))["state"]
            if state["epoch"] == 1:
                os.kill(os.getpid(), signal.SIGTERM)
                return


def main() -> None:
    """Prints one JSON object."""
    records, folder = Path(sys.argv[1]), Path(sys.argv[2])
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    device = find_device()
    strategy = make_strategy(device, 18)
    found: dict[str, object] = {"count": device.count}
    for name, values in {"plain": {}, "uneven": {"batch_size": 17, "target": "diagnosis"}}.items():
        one, two = train(records, None, **values), train(records, strategy, **values)
        found[name] = {
            "one": one["losses"],
            "two": two["losses"],
            "copies": two["copies"],
            **{key: gap(one, two, key) for key in ("weights", "optimizer", "scores")},
        }
    found["sample_weight"] = train(records, strategy, class_balance="sample_weight")["losses"]
    # batch statistics that are shared would carry the overflow to the first device
    half = train(records, strategy, "mixed_float16", overflow=1, shared=False, class_balance="sample_weight")
    found["overflow"] = {
        "finite": all(np.isfinite(v).all() for v in half["weights"]),
        "copies": half["copies"],
        "scale": half["scale"],
        "losses": half["losses"],
    }
    found["resumed"] = resumed(records, folder)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
