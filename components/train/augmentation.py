"""Augmentation: one affine warp and one brightness/contrast table per image, from a stateless seed.

What an image looks like in an epoch depends on (seed, epoch, position) alone, never on which thread
made it or what came before, so a resumed run sees the same images. No Keras random layer: on a CPU
those cost more than the network's first stage.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
_NEUTRAL = 127.5  # contrast turns around middle grey


@dataclass(frozen=True)
class Augmentation:
    """Largest changes.

    Attributes:
        rotation: degrees.
        zoom: scale is log-uniform in 1/(1+zoom) .. 1+zoom.
        translation: share of the side.
        flip: mirror, left to right and top to bottom each with probability 1/2.
        brightness: share of half the range of grey levels, 127.5.
        contrast: factor 1-c .. 1+c.
    """

    rotation: float = 180.0
    zoom: float = 0.15
    translation: float = 0.05
    flip: bool = True
    brightness: float = 0.1
    contrast: float = 0.1


def generator(seed: int, epoch: int, index: int) -> np.random.Generator:
    """Random numbers of one image in one epoch; a counter-based generator, so no two share a stream."""
    return np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, epoch, index]))


def warp_matrix(draw: npt.NDArray[np.float64], size: tuple[int, int], how: Augmentation) -> npt.NDArray[np.float64]:
    """The affine map from source to augmented pixel coordinates.

    Args:
        draw: (6,) uniform numbers in [0, 1): angle, scale, shift x, shift y, mirror x, mirror y.
        size: height and width, of source and result.
        how: largest changes.

    Returns:
        2 x 3 matrix for `cv2.warpAffine`; it turns around the centre of the image.
    """
    height, width = size
    angle = math.radians(how.rotation) * (2 * draw[0] - 1)
    scale = (1 + how.zoom) ** (2 * draw[1] - 1)
    mirror_x = -1.0 if how.flip and draw[4] < 0.5 else 1.0
    mirror_y = -1.0 if how.flip and draw[5] < 0.5 else 1.0
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    linear = np.array([[cos * mirror_x, -sin * mirror_y], [sin * mirror_x, cos * mirror_y]])
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    shift = np.array([width, height]) * how.translation * (2 * draw[2:4] - 1)
    return np.column_stack([linear, centre + shift - linear @ centre])


def augment(image: Pixels, rng: np.random.Generator, how: Augmentation) -> Pixels:
    """One augmented view of `image`, uint8 [h, w, 3], same size; borders are mirrored."""
    draw = rng.random(8)
    matrix = warp_matrix(draw[:6], (image.shape[0], image.shape[1]), how)
    out = cv2.warpAffine(
        image, matrix, (image.shape[1], image.shape[0]), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )
    gain = 1 + how.contrast * (2 * draw[6] - 1)
    shift = _NEUTRAL * (how.brightness * (2 * draw[7] - 1) + 1 - gain)
    if gain != 1.0 or shift != 0.0:
        table = np.clip(np.rint(np.arange(256) * gain + shift), 0, 255).astype(np.uint8)
        out = cv2.LUT(out, table)
    return np.asarray(out, np.uint8)
