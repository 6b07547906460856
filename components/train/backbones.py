"""Builds the convolutional part of a network and fills it with weights."""

from __future__ import annotations

import logging
import math
import tempfile
from pathlib import Path
from typing import Any

import keras

from components.common import storage
from components.common.errors import ArtifactError, ConfigError
from components.train.lite0 import efficientnet_lite0, load_lite0_weights
from components.train.registry import Backbone
from components.train.small_cnn import small_cnn

log = logging.getLogger(__name__)

# keras.applications divides by sqrt of these once more, only for weights="imagenet", because the variance that
# the weights file holds is really the standard deviation
_IMAGENET_STDDEV_RGB = (0.229, 0.224, 0.225)


def build_backbone(line: Backbone, size: tuple[int, int], alpha: float, weights: str) -> keras.Model:
    """The convolutional part of a backbone: preprocessed images (n, h, w, 3) to features (n, h', w', c).

    A file of weights, a URI, `imagenet` and `none` all give the same graph.

    Args:
        line: the registry's line.
        size: height and width.
        alpha: width, where the backbone has widths.
        weights: imagenet, none, a path or a URI.

    Raises:
        ConfigError: the weights file does not exist.
        ArtifactError: the weights do not fit the backbone.
    """
    if weights == "imagenet":
        return _application(line, size, alpha, "imagenet")
    if line.builder == "lite0":
        model = efficientnet_lite0(size)
    elif line.builder == "small_cnn":
        model = small_cnn(size)
    else:
        model = _application(line, size, alpha, None)
        if line.builder.startswith("EfficientNetB"):
            model = _as_for_imagenet(model)
    if weights != "none":
        _load(model, line, weights)
    return model


def freeze(model: keras.Model, until: str) -> int:
    """Makes layers up to and including `until` untrainable, batch normalisation statistics included.

    Args:
        model: a backbone.
        until: name of a layer; `all` for every layer, empty for none.

    Returns:
        How many layers are frozen.

    Raises:
        ConfigError: no layer of this name.
    """
    names = [layer.name for layer in model.layers]
    if not until:
        return 0
    if until == "all":
        until = names[-1]
    if until not in names:
        blocks = [name for name in names if name.endswith(("add", "_out", "project_BN", "bn2"))]
        raise ConfigError(
            f"freeze_until: received {until!r}; allowed: all, or a layer of {model.name}, such as "
            f"{', '.join((blocks or names)[:6])}"
        )
    last = names.index(until)
    for layer in model.layers[: last + 1]:
        layer.trainable = False
    return last + 1


def _application(line: Backbone, size: tuple[int, int], alpha: float, weights: str | None) -> keras.Model:
    width: dict[str, Any] = {"alpha": alpha} if line.widths else {}
    build = getattr(keras.applications, line.builder)
    return build(include_top=False, weights=weights, input_shape=(*size, 3), **width)


def _as_for_imagenet(model: keras.Model) -> keras.Model:
    """The same EfficientNet with the extra rescaling that `weights="imagenet"` puts after the normalisation.

    Without it a file with the very same weights sees an input about 2.1 times too small.
    """

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        out = layer(*args, **kwargs)
        if isinstance(layer, keras.layers.Normalization):
            scale = [1 / math.sqrt(deviation) for deviation in _IMAGENET_STDDEV_RGB]
            return keras.layers.Rescaling(scale, name="imagenet_rescaling")(out)
        return out

    return keras.models.clone_model(model, call_function=call)


def _load(model: keras.Model, line: Backbone, weights: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        if storage.is_local(weights):
            path = storage.local_path(weights)
            if not path.is_file():
                raise ConfigError(f"weights: received {weights!r}; allowed: imagenet, none, or a file that exists")
        else:
            path = storage.fetch(weights, Path(scratch))
        if line.builder == "lite0" and path.suffix == ".npz":
            load_lite0_weights(model, path)
        else:
            try:
                model.load_weights(path)
            except (ValueError, OSError, KeyError) as error:
                reason = str(error).strip().split("\n")[0]
                raise ArtifactError(f"{weights}: these are no weights of {line.name} without top ({reason})") from None
    log.info("weights of %s from %s", line.name, weights)
