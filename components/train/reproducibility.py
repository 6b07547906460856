"""One seed for everything random, and a record of what a result was made with."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from components.train.device import Device

COMMIT_VARIABLE = "LESIONFLOW_COMMIT"
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


def environment_record(device: Device, policy: str, backend: str = "tensorflow") -> dict[str, Any]:
    """Content of `environment.json`: code, image, versions, device; no time and no path."""
    commit, dirty = source_version(Path(__file__).resolve().parents[2])
    return {
        "git": {"commit": commit, "dirty": dirty},
        "image": os.environ.get(IMAGE_VARIABLE) or None,
        "python": platform.python_version(),
        "platform": platform.machine(),
        "packages": {name: version for name in _PACKAGES if (version := _version(name))},
        "backend": backend,
        "device": {**device.record(), "precision": policy},
    }


def source_version(root: Path) -> tuple[str | None, bool | None]:
    """Commit and dirty flag of the source: from git, or from the variable that an image sets; else unknown."""
    if (root / ".git").exists():
        try:
            commit = _git(root, "rev-parse", "HEAD")
            return commit, bool(_git(root, "status", "--porcelain", "--untracked-files=no"))
        except (OSError, subprocess.SubprocessError):
            pass
    commit = os.environ.get(COMMIT_VARIABLE, "")
    return (commit.removesuffix("-dirty") or None, commit.endswith("-dirty") if commit else None)


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.strip()


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
