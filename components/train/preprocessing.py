"""Preprocessing inside the model: every network takes RGB 0..255, whatever its backbone was trained on.

Built-in layers and operations only, so that the saved model holds no code of its own; in float32, so
that mixed precision does not round pixels.
"""

from __future__ import annotations

from typing import Any

import keras

from components.train.registry import Contract

CAFFE_BGR_MEAN = (103.939, 116.779, 123.68)  # of ImageNet, in the channel order of the caffe weights
_LITE_MEAN, _LITE_SCALE = 127.0, 128.0


def preprocess(images: Any, contract: Contract) -> Any:
    """Maps RGB 0..255 [n, h, w, 3] to what a backbone expects.

    Args:
        images: symbolic or real tensor.
        contract: raw, caffe, minus_one_to_one or lite, see `registry`.

    Raises:
        ValueError: another contract.
    """
    if contract == "raw":
        return images
    if contract == "caffe":
        bgr = keras.ops.flip(images, axis=-1)
        return _rescaling(1.0, [-mean for mean in CAFFE_BGR_MEAN])(bgr)
    if contract == "minus_one_to_one":
        return _rescaling(1 / 127.5, -1.0)(images)
    if contract == "lite":
        return _rescaling(1 / _LITE_SCALE, -_LITE_MEAN / _LITE_SCALE)(images)
    raise ValueError(f"contract {contract!r} has no preprocessing")


def _rescaling(scale: float, offset: float | list[float]) -> Any:
    return keras.layers.Rescaling(scale, offset, dtype="float32", name="preprocessing")
