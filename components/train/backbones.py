"""Builds a backbone with its weights: the same graph whether the weights were downloaded, given, or are none."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import keras

from components.common.errors import DataError
from components.common.storage import fetch
from components.train.lite0 import efficientnet_lite0, load_lite0_weights
from components.train.registry import BACKBONES
from components.train.small_cnn import small_cnn

_OWN = {"efficientnet_lite0": efficientnet_lite0, "small_cnn": small_cnn}
_IMAGENET_VARIANCE = (0.229, 0.224, 0.225)


def build_backbone(architecture: str, image_size: tuple[int, int], weights: str) -> keras.Model:
    """A backbone without its classifier, from preprocessed images (n, h, w, 3) to features (n, h', w', c).

    Args:
        architecture: a name in the registry.
        image_size: height and width in pixels.
        weights: `imagenet`, `none`, a path or a URI.

    Raises:
        DataError: weights that cannot be read or do not fit the architecture.
    """
    entry = BACKBONES[architecture]
    if entry.own:
        model = _OWN[entry.factory](image_size)
        if weights == "imagenet":
            raise DataError(
                f"weights: received 'imagenet' for {architecture}; allowed: none, or a file with its weights"
            )
        if weights != "none":
            _with_file(weights, lambda path: load_lite0_weights(model, path))
        return model
    factory = getattr(keras.applications, entry.factory)
    arguments = {"include_top": False, "input_shape": (*image_size, 3), **entry.options}
    if weights in ("none", "imagenet"):
        return factory(weights=None if weights == "none" else "imagenet", **arguments)
    model = factory(weights=None, **arguments)
    _with_file(weights, lambda path: _load(model, path, architecture))
    return model


def _load(model: keras.Model, path: Path, architecture: str) -> None:
    try:
        model.load_weights(path)
    except (ValueError, OSError, KeyError) as error:
        reason = str(error).strip().split("\n")[0]
        raise DataError(f"weights: {path} does not fit {architecture}: {reason}") from None
    if architecture.startswith("efficientnet_b"):
        _scale_like_imagenet(model)


def _scale_like_imagenet(model: keras.Model) -> None:
    """Makes an EfficientNet whose weights came from a file compute what `weights="imagenet"` computes.

    keras.applications adds a Rescaling by 1/sqrt(variance) after its Normalization only when it downloads
    the weights itself; from a file the input would be about 2.1 times too small. Dividing the variance of
    the Normalization by the square of that factor is the same map, in the graph that is there.
    """
    layer = next(layer for layer in model.layers if isinstance(layer, keras.layers.Normalization))
    scale = [1 / math.sqrt(value) for value in _IMAGENET_VARIANCE]
    mean, variance, *rest = layer.get_weights()
    layer.set_weights([mean, variance / [[[value**2 for value in scale]]], *rest] if variance.ndim == 4 else
                      [mean, variance / [value**2 for value in scale], *rest])  # fmt: skip
    layer.finalize_state()


def _with_file(weights: str, load: Any) -> None:
    if "://" not in weights:
        path = Path(weights)
        if not path.is_file():
            raise DataError(f"weights: {weights} is no file; give a path, a URI, imagenet or none")
        load(path)
        return
    with tempfile.TemporaryDirectory() as folder:
        load(fetch(weights, Path(folder)))


def freeze_before(backbone: keras.Model, first_trained: str) -> int:
    """Freezes every layer of the backbone before `first_trained`; returns how many weights stay trainable.

    A frozen batch norm also uses its stored statistics, and no gradient flows through frozen layers.

    Raises:
        DataError: no layer of that name.
    """
    names = [layer.name for layer in backbone.layers]
    if first_trained not in names:
        raise DataError(
            f"freeze_until: received {first_trained!r}; allowed: a layer such as {', '.join(names[5:60:9])}"
        )
    for layer in backbone.layers[: names.index(first_trained)]:
        layer.trainable = False
    return sum(math.prod(variable.shape) for variable in backbone.trainable_variables)
