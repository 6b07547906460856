"""The backbones by name: how each is built, what it wants as input, at which size it was trained.

A table without TensorFlow, so that a pipeline can validate an architecture before anything heavy runs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

# What a backbone's first weights expect of RGB 0..255; `components.train.preprocessing` builds it.
Contract = Literal["raw", "minus_one_to_one", "caffe", "lite"]


@dataclass(frozen=True)
class Backbone:
    """One line of the registry.

    Attributes:
        factory: class or function name in `keras.applications`, or a builder of this package.
        contract: the input its ImageNet weights were trained with.
        size: side in pixels of the images it was trained on.
        options: further arguments of the factory.
        own: built in this package instead of `keras.applications`.
    """

    factory: str
    contract: Contract
    size: int = 224
    options: dict[str, Any] = field(default_factory=dict)
    own: bool = False


BACKBONES: dict[str, Backbone] = {
    "resnet50": Backbone("ResNet50", "caffe"),
    "efficientnet_b0": Backbone("EfficientNetB0", "raw"),
    "efficientnet_b1": Backbone("EfficientNetB1", "raw", 240),
    "efficientnet_b2": Backbone("EfficientNetB2", "raw", 260),
    "efficientnet_b3": Backbone("EfficientNetB3", "raw", 300),
    "efficientnetv2_b0": Backbone("EfficientNetV2B0", "raw"),
    "efficientnetv2_s": Backbone("EfficientNetV2S", "raw", 384),
    "convnext_tiny": Backbone("ConvNeXtTiny", "raw"),
    "mobilenet_v2": Backbone("MobileNetV2", "minus_one_to_one"),
    "mobilenet_v2_035": Backbone("MobileNetV2", "minus_one_to_one", options={"alpha": 0.35}),
    "mobilenet_v2_050": Backbone("MobileNetV2", "minus_one_to_one", options={"alpha": 0.5}),
    "mobilenet_v2_140": Backbone("MobileNetV2", "minus_one_to_one", options={"alpha": 1.4}),
    "mobilenet_v3_small": Backbone("MobileNetV3Small", "raw"),
    "efficientnet_lite0": Backbone("efficientnet_lite0", "lite", own=True),
    "efficientnet_lite1": Backbone("efficientnet_lite1", "lite", 240, own=True),
    "efficientnet_lite2": Backbone("efficientnet_lite2", "lite", 260, own=True),
    "small_cnn": Backbone("small_cnn", "minus_one_to_one", 96, own=True),
}
