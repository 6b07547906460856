"""Augmentation: one warp per image, with random numbers that depend on seed, epoch and image alone.

A resumed run, another batch size or another number of threads sees the same images.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from components.train.config import TrainConfig


@dataclass(frozen=True)
class Warps:
    """What happens to each of n images in one epoch.

    Attributes:
        matrix: (n, 2, 3) float32, from the pixels of the result to those of the source.
        gain: (n,) float32, contrast factor around mid-grey.
        bias: (n,) float32, added grey levels.
    """

    matrix: npt.NDArray[np.float32]
    gain: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]


def draw_warps(config: TrainConfig, n: int, epoch: int) -> Warps:
    """Draws the warps of all n images for one epoch; image i gets the same draw whatever the order.

    Args:
        config: largest rotation (degrees), zoom, shift, brightness and contrast (shares).
        n: images.
        epoch: counted from 0.
    """
    random = np.random.Generator(np.random.Philox(key=[config.seed, epoch])).random((n, 7))
    spread = 2 * random - 1
    height, width = config.height_width
    angle = np.deg2rad(config.augment_rotation) * spread[:, 0]
    scale = np.exp(np.log1p(config.augment_zoom) * spread[:, 1])
    flip = np.where(random[:, 2] < 0.5, -1.0, 1.0) if config.augment_flip else np.ones(n)
    shift = config.augment_shift * spread[:, 3:5] * (width, height)
    cos, sin = np.cos(angle) / scale, np.sin(angle) / scale
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    linear = np.stack([np.stack([cos * flip, -sin], 1), np.stack([sin * flip, cos], 1)], 1)
    offset = centre + shift - linear @ centre
    bias = 127.5 * config.augment_brightness * spread[:, 5]
    gain = 1 + config.augment_contrast * spread[:, 6]
    matrix = np.concatenate([linear, offset[:, :, None]], 2)
    return Warps(matrix.astype(np.float32), gain.astype(np.float32), bias.astype(np.float32))


def apply_warp(image: npt.NDArray[np.uint8], warps: Warps, index: int, out: npt.NDArray[np.uint8]) -> None:
    """Warps one image (h, w, 3) into `out`; the border is mirrored, so no black corner says which way was up."""
    height, width = image.shape[:2]
    warped = cv2.warpAffine(
        image, warps.matrix[index], (width, height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REFLECT_101,
    )  # fmt: skip
    gain, bias = float(warps.gain[index]), float(warps.bias[index])
    if gain == 1.0 and bias == 0.0:
        out[:] = warped
    else:
        # one fused multiply-add with saturation: contrast around mid-grey, then brightness
        cv2.addWeighted(warped, gain, warped, 0.0, 127.5 * (1 - gain) + bias, dst=out)
