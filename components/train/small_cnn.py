"""A small network that learns from scratch in a minute; for the sample data and for tests."""

from __future__ import annotations

import keras

_WIDTHS = (16, 32, 64, 96)


def small_cnn(image_size: tuple[int, int]) -> keras.Model:
    """From images (n, h, w, 3) in -1..1 to features (n, h/16, w/16, 96); about 160,000 parameters."""
    images = keras.Input((*image_size, 3), name="scaled_images")
    x = images
    for index, width in enumerate((*_WIDTHS, _WIDTHS[-1])):
        stride = 2 if index < len(_WIDTHS) else 1
        x = keras.layers.Conv2D(width, 3, stride, "same", use_bias=False, name=f"conv{index}")(x)
        x = keras.layers.BatchNormalization(momentum=0.9, name=f"bn{index}")(x)
        x = keras.layers.ReLU(name=f"relu{index}")(x)
    return keras.Model(images, x, name="small_cnn")
