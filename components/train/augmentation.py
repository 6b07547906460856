"""Augmentation: one affine warp and one brightness/contrast table per image, from a stateless seed.

What an image looks like in an epoch depends on (seed, epoch, position) alone, never on which thread
made it or what came before, so a resumed run sees the same images. Keras's random layers are not used: on a
CPU they cost more than the network's first stage.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

DRAWS = 8  # random numbers per image: six for the warp, two for grey levels
_NEUTRAL = 127.5  # contrast turns around middle grey


@dataclass(frozen=True)
class Augmentation:
    """The largest change of each kind.

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


def stream(seed: int, epoch: int, purpose: int) -> np.random.Generator:
    """The random numbers of one epoch for one purpose.

    Philox (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") is a function of key and counter.
    Drawing moves the counter's first word only, so two epochs or purposes never share a number.
    """
    return np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, epoch, purpose]))


def augmentation_draws(seed: int, epoch: int, images: int) -> Floats:
    """(images, DRAWS) uniform numbers in [0, 1); row i belongs to image i, however many images there are."""
    return stream(seed, epoch, 0).random((images, DRAWS))


def warp_matrices(draw: Floats, size: tuple[int, int], how: Augmentation) -> Floats:
    """The affine maps from source to augmented pixel coordinates; they turn around the centre of the image.

    Args:
        draw: (n, 6) uniform numbers in [0, 1): angle, scale, shift x, shift y, mirror x, mirror y.
        size: height and width, of source and result.
        how: largest changes.

    Returns:
        (n, 2, 3) matrices for `cv2.warpAffine`.
    """
    height, width = size
    angle = math.radians(how.rotation) * (2 * draw[:, 0] - 1)
    scale = (1 + how.zoom) ** (2 * draw[:, 1] - 1)
    mirror_x, mirror_y = np.where(how.flip & (draw[:, 4:6] < 0.5), -1.0, 1.0).T
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    linear = np.stack([cos * mirror_x, -sin * mirror_y, sin * mirror_x, cos * mirror_y], axis=-1).reshape(-1, 2, 2)
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    shift = np.array([width, height]) * how.translation * (2 * draw[:, 2:4] - 1)
    return np.concatenate([linear, (centre + shift - linear @ centre)[:, :, None]], axis=2)


def grey_tables(draw: Floats, how: Augmentation) -> Pixels | None:
    """The new level of each grey level.

    Args:
        draw: (n, 2) uniform numbers in [0, 1): contrast, brightness.
        how: largest changes.

    Returns:
        (n, 256) tables, rounded and cut to 0..255; None where `how` changes no level.
    """
    if how.contrast == 0 and how.brightness == 0:
        return None
    gain = 1 + how.contrast * (2 * draw[:, :1] - 1)
    shift = _NEUTRAL * (how.brightness * (2 * draw[:, 1:] - 1) + 1 - gain)
    return np.clip(np.rint(np.arange(256) * gain + shift), 0, 255).astype(np.uint8)


class Augmenter:
    """Augments images of one size; it keeps two images of scratch memory, so each thread needs its own."""

    def __init__(self, size: tuple[int, int], how: Augmentation) -> None:
        """Prepares scratch memory for images of `size`, height and width."""
        self.size, self.how = size, how
        self._source, self._warped = np.empty((2, *size, 4), np.uint8)

    def into(self, out: Pixels, images: list[Pixels], draw: Floats) -> None:
        """Writes one augmented view of each image; borders are mirrored.

        Args:
            out: [n, h, w, 3], written in place.
            images: n of [h, w, 3].
            draw: (n, DRAWS) uniform numbers in [0, 1).
        """
        matrices, tables = warp_matrices(draw[:, :6], self.size, self.how), grey_tables(draw[:, 6:], self.how)
        for i, image in enumerate(images):
            # with a fourth channel the same pixels take half the time: OpenCV's kernel reads whole words
            cv2.cvtColor(image, cv2.COLOR_RGB2RGBA, dst=self._source)
            cv2.warpAffine(
                self._source,
                matrices[i],
                self.size[::-1],
                dst=self._warped,
                flags=cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REFLECT_101,
            )
            view = out[i]
            cv2.cvtColor(self._warped, cv2.COLOR_RGBA2RGB, dst=view)
            if tables is not None:
                cv2.LUT(view, tables[i], dst=view)
