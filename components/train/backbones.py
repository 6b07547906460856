"""Builds the convolutional part of a network and fills it with weights."""

from __future__ import annotations

import logging
import math
import re
import tempfile
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from components.common.runtime.errors import ArtifactError, ConfigError
from components.common.storage import store
from components.train.efficientnet_lite import STAGES, efficientnet_lite, load_lite_weights
from components.train.registry import BACKBONES, Backbone
from components.train.small_cnn import small_cnn

log = logging.getLogger(__name__)

_OWN: Mapping[str, Callable[[tuple[int, int]], keras.Model]] = {
    "small_cnn": small_cnn,
    **{name: partial(efficientnet_lite, name) for name in STAGES},
}
# keras.applications divides by sqrt of these once more, only for weights="imagenet", because the variance that
# the weights file holds is really the standard deviation
_IMAGENET_STDDEV_RGB = (0.229, 0.224, 0.225)


def build_backbone(architecture: str, size: tuple[int, int], weights: str) -> keras.Model:
    """The convolutional part of a backbone: preprocessed images (n, h, w, 3) to features (n, h', w', c).

    A file of weights, a URI, `imagenet` and `none` all give the same graph.

    Raises:
        ConfigError: the weights file does not exist.
        ArtifactError: the weights do not fit the backbone.
    """
    line = BACKBONES[architecture]
    if line.own:
        model = _OWN[line.factory](size)
    else:
        model = _application(line, size, "imagenet" if weights == "imagenet" else None)
        if line.factory.startswith("EfficientNetB") and weights != "imagenet":
            model = _as_for_imagenet(model)
    if weights not in ("none", "imagenet"):
        _load(model, architecture, weights)
    return model


def freeze_before(model: keras.Model, first_trained: str) -> int:
    """Makes every layer before `first_trained` untrainable, batch normalisation statistics included.

    Args:
        model: a backbone.
        first_trained: name of a layer; `head` freezes the whole backbone.

    Returns:
        How many layers are frozen.

    Raises:
        ConfigError: no layer of this name.
    """
    names = [layer.name for layer in model.layers]
    if first_trained != "head" and first_trained not in names:
        shown = ", ".join(names[5:60:9])
        raise ConfigError(
            f"freeze_until: received {first_trained!r}; allowed: head, or a layer of {model.name} such as {shown}"
        )
    count = len(names) if first_trained == "head" else names.index(first_trained)
    for layer in model.layers[:count]:
        layer.trainable = False
    return count


def freeze_depthwise(model: keras.Model) -> int:
    """Makes the depthwise convolutions of a backbone untrainable, and returns how many there are.

    Raises:
        ConfigError: it has none.
    """
    depthwise = [layer for layer in model.layers if isinstance(layer, keras.layers.DepthwiseConv2D)]
    if not depthwise:
        raise ConfigError(
            f"freeze_depthwise: received true with {model.name}, which has no depthwise convolution; allowed: false"
        )
    for layer in depthwise:
        layer.trainable = False
    return len(depthwise)


def cut_before(model: keras.Model, first_trained: str) -> tuple[keras.Model, Callable[[Any], Any]]:
    """A backbone in two parts that share its layers.

    Args:
        model: a backbone.
        first_trained: name of the first layer of the second part; `head`: the second part is empty.

    Returns:
        The first part, preprocessed images to what the first trained layer sees; and what makes feature maps of that.

    Raises:
        ConfigError: more than one tensor passes from the first part to the second, so one cannot be kept for it.
    """
    if first_trained == "head":
        return model, lambda maps: maps
    names = [layer.name for layer in model.layers]
    passing = _passing(model, names.index(first_trained))
    if len(passing) != 1:
        count = names.index(first_trained)
        others = sorted(range(1, len(names)), key=lambda i: abs(i - count))
        near = [names[i] for i in others if len(_passing(model, i)) == 1][:3]
        raise ConfigError(
            f"freeze_until: received {first_trained!r} with frozen_views, where {len(passing)} tensors pass from the "
            f"frozen layers to the trained ones; allowed: a layer with one, such as {', '.join(near)}"
        )
    return keras.Model(model.input, passing[0]), keras.Model(passing[0], model.output)


def _passing(model: keras.Model, count: int) -> list[Any]:
    """The tensors that the layers from position `count` on take from those before it."""
    made = {id(tensor) for layer in model.layers[:count] for tensor in keras.tree.flatten(layer.output)}
    taken = {id(t): t for layer in model.layers[count:] for t in keras.tree.flatten(layer.input) if id(t) in made}
    return list(taken.values())


def _application(line: Backbone, size: tuple[int, int], weights: str | None) -> keras.Model:
    build = getattr(keras.applications, line.factory)
    try:
        with warnings.catch_warnings():
            # MobileNetV2 warns that it takes the weights for 224x224, which is what is wanted
            warnings.filterwarnings("ignore", "`input_shape` is undefined or non-square")
            return build(include_top=False, weights=weights, input_shape=(*size, 3), **line.options)
    except Exception as error:  # Keras raises a bare one when a download fails
        if not str(error).startswith("URL fetch failure"):
            raise
        raise ArtifactError(
            f"weights: imagenet could not be downloaded ({error}); give the path or URI of a file instead"
        ) from error


def _as_for_imagenet(model: keras.Model) -> keras.Model:
    """The same EfficientNet with the extra rescaling that `weights="imagenet"` puts after the normalisation.

    Without it a network with the same weights from a file gets an input about 2.1 times too small.
    """

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        out = layer(*args, **kwargs)
        if isinstance(layer, keras.layers.Normalization):
            scale = [1 / math.sqrt(deviation) for deviation in _IMAGENET_STDDEV_RGB]
            return keras.layers.Rescaling(scale, name="imagenet_rescaling")(out)
        return out

    return keras.models.clone_model(model, call_function=call)


def _load(model: keras.Model, architecture: str, weights: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        try:
            path = store.fetch(weights, Path(scratch))
        except FileNotFoundError as error:
            raise ConfigError(
                f"weights: received {weights!r}, and there is no such file; allowed: none (train from scratch), "
                "imagenet (downloaded by Keras, not for every architecture), or the path or URI of a file that exists"
            ) from error
        try:
            _read(model, path)
        except ArtifactError as error:
            raise ArtifactError(f"{weights}: not weights of {architecture} without its top layers: {error}") from error
    log.info("weights of %s from %s", architecture, weights)


def _read(model: keras.Model, path: Path) -> None:
    if path.suffix == ".npz":
        load_lite_weights(model, path)
        return
    floats = [variable for variable in model.variables if variable.dtype == "float32"]
    for variable in floats:  # arrays that the file lacks would keep their random weights; Keras only warns
        variable.assign(np.full(variable.shape, np.nan, np.float32))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            model.load_weights(path)
    except (ValueError, OSError, KeyError) as error:
        # after this Keras prints whole arrays and the name of every layer
        reason = re.split(r" Target variable:| List of objects", " ".join(str(error).split()))[0]
        raise ArtifactError(reason) from error
    absent = [variable.path for variable in floats if np.isnan(variable.numpy()).any()]
    if absent:
        raise ArtifactError(f"{len(absent)} of {len(floats)} arrays are missing or not finite, first {absent[0]}")
