"""Class balance: loss weights by label, scaled to mean 1 over the training images."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from components.common.class_weight import SCHEMA, ClassWeight


def loss_weights(mode: str, label: npt.NDArray[np.int8]) -> npt.NDArray[np.float32]:
    """Loss weight by label, (2,) float32.

    n0/n1 for malignant and 1 for benign, both divided by their mean over the images: Keras averages
    weight times loss over the batch, so weights with another mean would change the learning rate.

    Args:
        mode: class_weight, sample_weight or none.
        label: (n,) labels of the training images.

    Raises:
        DataError: a class is absent.
    """
    weight = ClassWeight(int((label == 0).sum()), int((label == 1).sum()))
    if mode == "none":
        return np.ones(2, np.float32)
    raw = np.array([1.0, weight.weights["1"]])
    return np.asarray(raw / raw[label].mean(), np.float32)


def balance_record(mode: str, label: npt.NDArray[np.int8]) -> dict[str, Any]:
    """Content of `class_weight.json`: the weights used and the logit offset they cause, for calibration."""
    counts = ClassWeight(int((label == 0).sum()), int((label == 1).sum()))
    used = loss_weights(mode, label)
    return {
        "schema": SCHEMA,
        "class_balance": mode,
        "weights": {"0": float(used[0]), "1": float(used[1])},
        "counts": {"0": counts.benign, "1": counts.malignant},
        "logit_offset": 0.0 if mode == "none" else counts.logit_offset,
    }
