"""A small convolutional network that trains from scratch in a minute; for generated data and tests."""

from __future__ import annotations

from typing import Any

import keras

_CHANNELS = (16, 32, 64, 96)


def small_cnn(image_size: tuple[int, int]) -> keras.Model:
    """Four convolutions of stride 2; images (n, h, w, 3) in -1..1 to features (n, h/16, w/16, 96)."""
    images = keras.Input((*image_size, 3), name="scaled_images")
    x: Any = images
    for i, channels in enumerate(_CHANNELS):
        x = keras.layers.Conv2D(channels, 3, 2, "same", use_bias=False, name=f"conv{i}")(x)
        x = keras.layers.BatchNormalization(momentum=0.9, name=f"bn{i}")(x)
        x = keras.layers.ReLU(name=f"relu{i}")(x)
    return keras.Model(images, x, name="small_cnn")
