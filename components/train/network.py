"""The whole network: preprocessing, backbone, head, and one malignant logit whatever the target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras

from components.train.backbones import build_backbone, freeze_before
from components.train.config import TrainConfig
from components.train.preprocessing import preprocess
from components.train.registry import BACKBONES


@dataclass(frozen=True)
class Network:
    """Two views of the same weights.

    Attributes:
        trained: RGB 0..255 (n, h, w, 3) to logits (n, k): k = 1, or one logit per diagnosis.
        scoring: the same input to the malignant logit (n, 1), float32; what is saved and shipped.
        backbone: the backbone inside both.
    """

    trained: keras.Model
    scoring: keras.Model
    backbone: keras.Model


def build_network(config: TrainConfig, dx_classes: dict[str, int]) -> Network:
    """Builds the network of `config`.

    Args:
        config: parameters of training.
        dx_classes: label (0 or 1) of each diagnosis, in the order of the logits.

    Raises:
        DataError: weights that do not fit, or an unknown layer in `freeze_until`.
    """
    images = keras.Input((*config.height_width, 3), dtype="float32", name="image")
    backbone = build_backbone(config.architecture, config.height_width, config.weights)
    if config.freeze_until:
        freeze_before(backbone, config.freeze_until)
    x = backbone(preprocess(images, BACKBONES[config.architecture].contract))
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    x = keras.layers.Dropout(config.dropout, seed=config.seed, name="dropout")(x)
    units = 1 if config.target == "binary" else len(dx_classes)
    # float32 head under mixed precision: a float16 logit is too coarse to calibrate
    logits = keras.layers.Dense(units, dtype="float32", name="logits")(x)
    score = logits if config.target == "binary" else malignant_logit(logits, list(dx_classes.values()))
    return Network(keras.Model(images, logits), keras.Model(images, score, name=config.architecture), backbone)


def malignant_logit(logits: Any, labels: list[int]) -> Any:
    """Log odds of the malignant diagnoses under a softmax: logsumexp(malignant) - logsumexp(benign).

    Args:
        logits: (n, k) float32.
        labels: 0 or 1 for each of the k diagnoses.

    Returns:
        (n, 1) float32.
    """
    parts = [
        keras.ops.logsumexp(keras.ops.take(logits, [i for i, label in enumerate(labels) if label == wanted], axis=1),
                            axis=1, keepdims=True)
        for wanted in (1, 0)
    ]  # fmt: skip
    return keras.ops.subtract(parts[0], parts[1])
