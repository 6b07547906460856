"""Class balance: loss weights by label, scaled to mean 1 over the training images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.common.artifacts.class_weight import ClassWeight, write_class_weight
from components.common.runtime.errors import ConfigError


def loss_weights(mode: str, label: npt.NDArray[np.int8]) -> npt.NDArray[np.float32]:
    """Loss weight by label, (2,) float32.

    n0/n1 for malignant and 1 for benign, both divided by their mean over the images: Keras averages
    weight times loss over the batch, so weights with another mean would change the learning rate.

    Raises:
        DataError: a class is absent.
    """
    weight = ClassWeight(int((label == 0).sum()), int((label == 1).sum()))
    if mode == "none":
        return np.ones(2, np.float32)
    raw = np.array([1.0, weight.weights["1"]])
    return np.asarray(raw / raw[label].mean(), np.float32)


def image_weights(
    mode: str, by_class: npt.NDArray[np.float32], label: npt.NDArray[np.int32], own: npt.NDArray[np.float32] | None
) -> npt.NDArray[np.float32]:
    """Loss weight of each image of a batch, (b,) float32; weighted by class or by the batch, never by both.

    Args:
        mode: class_weight, sample_weight or none.
        by_class: (2,) loss weight by label.
        label: (b,) of the batch.
        own: (b,) weights that the batch brings; only in mode sample_weight.

    Raises:
        ConfigError: own weights in another mode, or none in this one.
    """
    if (own is not None) != (mode == "sample_weight"):
        raise ConfigError(
            f"class_balance: received {mode} with batches that bring {'their own' if own is not None else 'no'} "
            "weights; allowed: weights in the batch with sample_weight, and only with it"
        )
    return by_class[label] if own is None else own


def write_balance(folder: Path, mode: str, label: npt.NDArray[np.int8]) -> None:
    """Writes `class_weight.json`: the weights used and the logit offset they cause, for calibration."""
    counts = ClassWeight(int((label == 0).sum()), int((label == 1).sum()))
    used = loss_weights(mode, label)
    weights = {"0": float(used[0]), "1": float(used[1])}
    offset = 0.0 if mode == "none" else counts.logit_offset
    write_class_weight(folder, weights, offset, counts=counts.counts, class_balance=mode)
