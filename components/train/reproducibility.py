"""One seed for everything random, and a record of what a result was made with."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from typing import Any

from components.common.runtime.source import source_version
from components.train.device import Device

IMAGE_VARIABLE = "LESIONFLOW_IMAGE"
_PACKAGES = (
    "lesionflow",
    "tensorflow",
    "jax",
    "jaxlib",
    "keras",
    "numpy",
    "opencv-python-headless",
    "simplejpeg",
    "kfp",
)


def seed_everything(seed: int, *, deterministic: bool) -> None:
    """Seeds Python, NumPy and Keras; `deterministic` makes operations repeat bit for bit.

    JAX is told when it starts, by `prepare_backend`.
    """
    import keras

    keras.utils.set_random_seed(seed)
    if deterministic and keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


def environment_record(device: Device, policy: str, backend: str) -> dict[str, Any]:
    """Content of `environment.json`: code, image, versions, device; no time and no path."""
    commit, dirty = source_version()
    return {
        "git": {"commit": commit, "dirty": dirty},
        "image": os.environ.get(IMAGE_VARIABLE) or None,
        "python": platform.python_version(),
        "platform": platform.machine(),
        "packages": {name: version for name in _PACKAGES if (version := _version(name))},
        "backend": backend,
        "device": {**device.record(), "precision": policy},
    }


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
