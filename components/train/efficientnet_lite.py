"""EfficientNet-Lite (tensorflow/tpu, 2020): EfficientNet for integer hardware, as a Keras functional model.

No squeeze-excitation, ReLU6 instead of swish; stem, head and the repeats of the first and last stage are not scaled.
Layer names are the names in the weights file: `conv_stem`, `block3.expand_conv`, `block3.bn0`, ..., `conv_head`, `bn1`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras

from components.common.artifacts.npz import read_npz
from components.common.runtime.errors import ArtifactError

# repeats, kernel, stride, expansion, channels: Tan and Le 2019 (arXiv:1905.11946), table 1, scaled in width and depth
STAGES = {
    "efficientnet_lite0": (
        (1, 3, 1, 1, 16),
        (2, 3, 2, 6, 24),
        (2, 5, 2, 6, 40),
        (3, 3, 2, 6, 80),
        (3, 5, 1, 6, 112),
        (4, 5, 2, 6, 192),
        (1, 3, 1, 6, 320),
    ),
    "efficientnet_lite1": (  # width 1.0, depth 1.1
        (1, 3, 1, 1, 16),
        (3, 3, 2, 6, 24),
        (3, 5, 2, 6, 40),
        (4, 3, 2, 6, 80),
        (4, 5, 1, 6, 112),
        (5, 5, 2, 6, 192),
        (1, 3, 1, 6, 320),
    ),
    "efficientnet_lite2": (  # width 1.1, depth 1.2
        (1, 3, 1, 1, 16),
        (3, 3, 2, 6, 24),
        (3, 5, 2, 6, 48),
        (4, 3, 2, 6, 88),
        (4, 5, 1, 6, 120),
        (5, 5, 2, 6, 208),
        (1, 3, 1, 6, 352),
    ),
}
STEM_CHANNELS, HEAD_CHANNELS = 32, 1280
_EPSILON = 1e-3


def efficientnet_lite(name: str, image_size: tuple[int, int]) -> keras.Model:
    """The convolutional part, without pooling and classifier; random weights.

    Returns:
        A model from images (n, h, w, 3), already scaled to (x - 127) / 128, to features (n, h/32, w/32, 1280).
    """
    images = keras.Input((*image_size, 3), name="scaled_images")
    x = _conv(images, STEM_CHANNELS, 3, 2, "conv_stem")
    x = _relu6(_norm(x, "bn0"), "relu0")
    index, channels = 0, STEM_CHANNELS
    for repeats, kernel, stride, expansion, out in STAGES[name]:
        for repeat in range(repeats):
            x = _block(x, f"block{index}", kernel, stride if repeat == 0 else 1, expansion, channels, out)
            index, channels = index + 1, out
    x = _conv(x, HEAD_CHANNELS, 1, 1, "conv_head")
    x = _relu6(_norm(x, "bn1"), "relu1")
    return keras.Model(images, x, name=name)


def load_lite_weights(model: keras.Model, path: Path) -> None:
    """Fills `model` from an .npz of arrays named `layer/weight`.

    Raises:
        ArtifactError: not such a file, or an array is missing, has another shape, or belongs to no layer.
    """
    try:
        arrays = read_npz(path)
    except ValueError as error:
        raise ArtifactError(f"not readable as arrays ({error})") from error
    for layer in model.layers:
        if not layer.weights:
            continue
        names = [f"{layer.name}/{weight.name}" for weight in layer.weights]
        missing = [name for name in names if name not in arrays]
        if missing:
            raise ArtifactError(f"array {missing[0]!r} is missing")
        try:
            layer.set_weights([arrays.pop(name) for name in names])
        except ValueError as error:
            raise ArtifactError(f"arrays of layer {layer.name!r} do not fit ({error})") from error
    if arrays:
        raise ArtifactError(f"array {sorted(arrays)[0]!r} belongs to no layer")


def _block(x: Any, name: str, kernel: int, stride: int, expansion: int, channels: int, out: int) -> Any:
    """Inverted residual (Sandler 2018, arXiv:1801.04381): expand, depthwise, project, add."""
    start = x
    if expansion != 1:
        x = _conv(x, channels * expansion, 1, 1, f"{name}.expand_conv")
        x = _relu6(_norm(x, f"{name}.bn0"), f"{name}.relu0")
    x = keras.layers.DepthwiseConv2D(kernel, stride, "same", use_bias=False, name=f"{name}.depthwise_conv")(x)
    x = _relu6(_norm(x, f"{name}.bn1"), f"{name}.relu1")
    x = _norm(_conv(x, out, 1, 1, f"{name}.project_conv"), f"{name}.bn2")
    return keras.layers.Add(name=f"{name}.add")([x, start]) if stride == 1 and channels == out else x


def _conv(x: Any, channels: int, kernel: int, stride: int, name: str) -> Any:
    return keras.layers.Conv2D(channels, kernel, stride, "same", use_bias=False, name=name)(x)


def _norm(x: Any, name: str) -> Any:
    return keras.layers.BatchNormalization(epsilon=_EPSILON, name=name)(x)


def _relu6(x: Any, name: str) -> Any:
    return keras.layers.ReLU(6.0, name=name)(x)
