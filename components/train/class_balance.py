"""Class balance: loss weights by label, scaled to mean 1 over the training images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.common.artifacts.class_weight import ClassWeight, write_class_weight


def loss_weights(mode: str, label: npt.NDArray[np.int8]) -> npt.NDArray[np.float32]:
    """Loss weight by label, (2,) float32; a batch brings the weight of each of its images, whatever the mode.

    n0/n1 for malignant and 1 for benign, both divided by their mean over the images: the loss of a batch is the mean
    of weight times loss, so weights with another mean would change the learning rate.

    Args:
        mode: class_weight or sample_weight, which give the same weights; or none.
        label: (n,) of the training images.

    Raises:
        DataError: a class is absent.
    """
    weight = ClassWeight(int((label == 0).sum()), int((label == 1).sum()))
    if mode == "none":
        return np.ones(2, np.float32)
    raw = np.array([1.0, weight.weights["1"]])
    return np.asarray(raw / raw[label].mean(), np.float32)


def write_balance(folder: Path, mode: str, label: npt.NDArray[np.int8]) -> None:
    """Writes `class_weight.json`: the weights used and the logit offset they cause, for calibration."""
    counts = ClassWeight(int((label == 0).sum()), int((label == 1).sum()))
    used = loss_weights(mode, label)
    weights = {"0": float(used[0]), "1": float(used[1])}
    offset = 0.0 if mode == "none" else counts.logit_offset
    write_class_weight(folder, weights, offset, counts=counts.counts, class_balance=mode)
