"""What training runs on: device, precision, threads, and the record of it."""

from __future__ import annotations

import logging
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from components.train.config import TrainConfig

SCHEMA = "lesionflow.environment/1"
_PACKAGES = (
    "lesionflow",
    "tensorflow",
    "keras",
    "numpy",
    "opencv-python-headless",
    "simplejpeg",
    "scikit-learn",
    "kfp",
)

log = logging.getLogger(__name__)


def prepare_device(config: TrainConfig) -> dict[str, Any]:
    """Sets seeds, determinism and precision; logs and returns what was found.

    Precision `auto`: bfloat16 on compute capability 8.0 and later, float16 with loss scaling on 7.x,
    float32 elsewhere.
    """
    keras.utils.set_random_seed(config.seed)
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    gpus = [tf.config.experimental.get_device_details(gpu) for gpu in tf.config.list_physical_devices("GPU")]
    capability = min((gpu.get("compute_capability", (0, 0)) for gpu in gpus), default=None)
    policy = choose_precision(config.precision, capability)
    keras.config.set_dtype_policy(policy)
    names = [str(gpu.get("device_name", "unknown")) for gpu in gpus] or [platform.processor() or platform.machine()]
    device: dict[str, Any] = {
        "type": "GPU" if gpus else "CPU",
        "names": names,
        "compute_capability": list(capability) if capability else None,
        "cores": os.cpu_count(),
        "precision": policy,
    }
    log.info(
        "device: %s %s, compute capability %s, %d cores, precision %s, TensorFlow %s, Keras %s",
        device["type"], ", ".join(names), capability, device["cores"], policy, tf.__version__,
        keras.__version__,
    )  # fmt: skip
    return device


def choose_precision(wanted: str, capability: tuple[int, int] | None) -> str:
    """The Keras dtype policy for `wanted` on GPUs of this compute capability (None: no GPU)."""
    if wanted != "auto":
        return wanted
    if capability is None or capability < (7, 0):
        return "float32"
    return "mixed_bfloat16" if capability >= (8, 0) else "mixed_float16"


def environment_record(device: dict[str, Any]) -> dict[str, Any]:
    """The content of `environment.json`: commit, image, versions, device."""
    return {
        "schema": SCHEMA,
        "git": git_state(),
        "image": os.environ.get("LESIONFLOW_IMAGE"),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "device": device,
    }


def git_state() -> dict[str, Any]:
    """Commit and dirty flag: from LESIONFLOW_COMMIT, which the images set, or from the checkout."""
    baked = os.environ.get("LESIONFLOW_COMMIT")
    if baked:
        return {"commit": baked, "dirty": False}
    folder = Path(__file__).parent
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        return {"commit": commit, "dirty": bool(_git(folder, "status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "dirty": None}


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
