"""The input contract of each backbone, as layers inside the model: it always takes RGB 0..255."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from components.train.registry import Contract

_CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)


def preprocess(image: Any, contract: Contract) -> Any:
    """Maps RGB 0..255 [N, H, W, 3] to what the backbone's weights expect, in float32.

    raw: unchanged (the backbone normalises by itself); minus_one_to_one: x / 127.5 - 1;
    lite: (x - 127) / 128; caffe: BGR minus the ImageNet mean.

    Raises:
        ValueError: an unknown contract.
    """
    if contract == "raw":
        return image
    if contract == "minus_one_to_one":
        return keras.layers.Rescaling(1 / 127.5, -1.0, dtype="float32", name="preprocess")(image)
    if contract == "lite":
        return keras.layers.Rescaling(1 / 128.0, -127.0 / 128.0, dtype="float32", name="preprocess")(image)
    if contract == "caffe":
        return _caffe(image)
    raise ValueError(f"unknown input contract {contract!r}")


def _caffe(image: Any) -> Any:
    # a fixed 1x1 convolution reverses the channels and subtracts the mean: a plain layer that every
    # exporter knows, where a Lambda would be code inside the model file
    layer = keras.layers.Conv2D(3, 1, trainable=False, dtype="float32", name="preprocess")
    out = layer(image)
    layer.set_weights([np.eye(3, dtype="float32")[::-1].reshape(1, 1, 3, 3), -np.array(_CAFFE_MEAN_BGR, "float32")])
    return out
