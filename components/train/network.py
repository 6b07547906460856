"""The network: preprocessing, backbone, pooling, head; and the one malignant logit that everything downstream reads."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras

from components.common.runtime.errors import DataError
from components.train.backbones import build_backbone, freeze_before
from components.train.config import TrainConfig
from components.train.preprocessing import preprocess
from components.train.registry import BACKBONES

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Network:
    """Views of one set of layers.

    Attributes:
        classifier: RGB 0..255 (n, h, w, 3) to target logits, (n, 1) binary or (n, classes) diagnosis; trained.
        scorer: the same images to the malignant logit (n, 1), float32; saved.
        outputs: the same images to target logits and malignant logit side by side, (n, k + 1), float32.
        features: the same images to pooled features (n, c).
        head: the last layer, features to target logits.
    """

    classifier: keras.Model
    scorer: keras.Model
    outputs: keras.Model
    features: keras.Model
    head: keras.layers.Dense


def build_network(config: TrainConfig, classes: Mapping[str, int]) -> Network:
    """Builds and initialises the network under the dtype policy in force.

    Args:
        config: architecture, weights, size, target, dropout, frozen layers.
        classes: diagnosis code to label, in the order of the diagnosis target.

    Raises:
        DataError: the diagnosis target without diagnoses of both labels.
    """
    base = build_backbone(config.architecture, config.height_width, config.weights)
    if config.freeze_until:
        frozen = freeze_before(base, config.freeze_until)
        log.info("%d of %d layers of the backbone are frozen", frozen, len(base.layers))
    images = keras.Input((*config.height_width, 3), name="images", dtype="float32")
    prepared = preprocess(images, BACKBONES[config.architecture].contract)
    pooled = keras.layers.GlobalAveragePooling2D(name="pool")(base(prepared))
    dropped = keras.layers.Dropout(config.dropout, seed=config.seed, name="dropout")(pooled)
    width = len(classes) if config.target == "diagnosis" else 1
    # float32, or the logits of a confident network collapse onto a few values under mixed precision
    head = keras.layers.Dense(width, kernel_initializer="zeros", dtype="float32", name="head")
    logits = head(dropped)
    score = logits if config.target == "binary" else malignant_logit(logits, classes)
    return Network(
        classifier=keras.Model(images, logits, name="classifier"),
        scorer=keras.Model(images, score, name=config.architecture),
        outputs=keras.Model(images, keras.ops.concatenate([logits, score], axis=-1), name="outputs"),
        features=keras.Model(images, pooled, name="features"),
        head=head,
    )


def malignant_logit(logits: Any, classes: Mapping[str, int]) -> Any:
    """Log odds of the summed malignant softmax mass: logsumexp over malignant minus over benign classes.

    Args:
        logits: (n, classes).
        classes: diagnosis code to label, in the order of the columns.

    Returns:
        (n, 1): ln(sum of malignant probabilities / sum of benign probabilities).

    Raises:
        DataError: only benign or only malignant diagnoses.
    """
    columns = {label: [i for i, one in enumerate(classes.values()) if one == label] for label in (0, 1)}
    if not columns[0] or not columns[1]:
        raise DataError(
            f"target diagnosis: the records hold the diagnoses {', '.join(classes)}, all of one label; "
            "use target binary, or records with both"
        )
    mass = {
        label: keras.ops.logsumexp(keras.ops.take(logits, which, axis=-1), axis=-1, keepdims=True)
        for label, which in columns.items()
    }
    return keras.ops.subtract(mass[1], mass[0])
