"""The backbones by name, one line each. Importable without TensorFlow: parameters are checked with it.

`preprocessing` is what the backbone wants its input to be; the model does it inside (`inputs.py`):
raw = RGB 0..255 (the network rescales itself), caffe = BGR minus the ImageNet mean, tf = -1..1,
lite = (x - 127) / 128.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Preprocessing = Literal["raw", "caffe", "tf", "lite"]


@dataclass(frozen=True)
class Backbone:
    """One line of the registry.

    Attributes:
        name: as in `--architecture`.
        preprocessing: what the convolutional part expects.
        builder: class of `keras.applications`, or the name of a module of ours.
        imagenet: Keras can download ImageNet weights for it.
        widths: allowed values of `alpha`; empty where the width is fixed.
        smallest: smallest side of an image in pixels.
    """

    name: str
    preprocessing: Preprocessing
    builder: str
    imagenet: bool = True
    widths: tuple[float, ...] = ()
    smallest: int = 32


_MOBILENET_WIDTHS = (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)

_ALL = (
    Backbone("resnet50", "caffe", "ResNet50"),
    Backbone("efficientnet_b0", "raw", "EfficientNetB0"),
    Backbone("efficientnet_b1", "raw", "EfficientNetB1"),
    Backbone("efficientnet_b2", "raw", "EfficientNetB2"),
    Backbone("efficientnet_b3", "raw", "EfficientNetB3"),
    Backbone("efficientnetv2_b0", "raw", "EfficientNetV2B0"),
    Backbone("efficientnetv2_s", "raw", "EfficientNetV2S"),
    Backbone("convnext_tiny", "raw", "ConvNeXtTiny"),
    Backbone("mobilenet_v2", "tf", "MobileNetV2", widths=_MOBILENET_WIDTHS),
    Backbone("mobilenet_v3_small", "raw", "MobileNetV3Small"),
    Backbone("efficientnet_lite0", "lite", "lite0", imagenet=False),
    Backbone("small_cnn", "tf", "small_cnn", imagenet=False, smallest=16),
)
BACKBONES: dict[str, Backbone] = {one.name: one for one in _ALL}


def backbone(name: str) -> Backbone:
    """The line of a backbone.

    Raises:
        ValueError: an unknown name; lists the known ones.
    """
    if name not in BACKBONES:
        raise ValueError(f"architecture: received {name!r}; allowed: {', '.join(BACKBONES)}")
    return BACKBONES[name]
