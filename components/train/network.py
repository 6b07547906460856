"""The network: preprocessing, backbone, pooling, head; and the one malignant logit that everything downstream reads."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras

from components.common.runtime.errors import DataError
from components.train.backbones import build_backbone, cut_before, freeze_before, freeze_depthwise
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
        backbone: the convolutional part, preprocessed images to feature maps.
    """

    classifier: keras.Model
    scorer: keras.Model
    outputs: keras.Model
    features: keras.Model
    head: keras.layers.Dense
    backbone: keras.Model


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
    if config.freeze_depthwise:
        log.info("the filters of %d depthwise convolutions are frozen", freeze_depthwise(base))
    images = keras.Input((*config.height_width, 3), name="images", dtype="float32")
    maps = base(preprocess(images, BACKBONES[config.architecture].contract))
    width = len(classes) if config.target == "diagnosis" else 1
    # float32, or the logits of a confident network collapse onto a few values under mixed precision
    head = keras.layers.Dense(width, kernel_initializer="zeros", dtype="float32", name="head")
    return _views(images, maps, head, base, config, classes)


def cut_network(network: Network, config: TrainConfig, classes: Mapping[str, int]) -> tuple[keras.Model, Network]:
    """The network in two parts, before and from the first trained layer on; they share its layers.

    Returns:
        The prefix, RGB 0..255 (n, h, w, 3) to what the first trained layer sees; and the tail, a `Network` whose
        images are that.

    Raises:
        ConfigError: the two parts are joined by more than one tensor, as within a residual block.
    """
    base = network.backbone
    before, maps_of = cut_before(base, config.freeze_until)
    images = keras.Input((*config.height_width, 3), name="images", dtype="float32")
    prefix = keras.Model(images, before(preprocess(images, BACKBONES[config.architecture].contract)), name="prefix")
    inner = keras.Input(prefix.output.shape[1:], name="inner", dtype="float32")
    return prefix, _views(inner, maps_of(inner), network.head, base, config, classes)


def _views(
    images: Any,
    maps: Any,
    head: keras.layers.Dense,
    backbone: keras.Model,
    config: TrainConfig,
    classes: Mapping[str, int],
) -> Network:
    pooled = keras.layers.GlobalAveragePooling2D(name="pool")(maps)
    logits = head(keras.layers.Dropout(config.dropout, seed=config.seed, name="dropout")(pooled))
    score = logits if config.target == "binary" else malignant_logit(logits, classes)
    return Network(
        classifier=keras.Model(images, logits, name="classifier"),
        scorer=keras.Model(images, score, name=config.architecture),
        outputs=keras.Model(images, keras.ops.concatenate([logits, score], axis=-1), name="outputs"),
        features=keras.Model(images, pooled, name="features"),
        head=head,
        backbone=backbone,
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
