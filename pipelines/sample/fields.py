"""Random fields and colour mixing on planar float32 images, [3, h, w]."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Field = npt.NDArray[np.float32]


class Noise:
    """Smooth random fields of one size, mean 0 and deviation about 1."""

    def __init__(self, side: int, random: np.random.Generator) -> None:
        self.side, self.random = side, random

    def __call__(self, grain: float) -> Field:
        """A field [side, side] whose blobs are about `grain` pixels wide."""
        cells = max(2, round(self.side / grain))
        grid = self.random.standard_normal((cells, cells), np.float32)
        return np.asarray(cv2.resize(grid, (self.side, self.side), interpolation=cv2.INTER_CUBIC), np.float32)


def mix(image: Field, weight: Field, tone: Field) -> None:
    """Moves `image` [3, h, w] towards the colour `tone` [3] by `weight` [h, w] in 0..1, in place."""
    for i, value in enumerate(tone):
        image[i] += weight * (value - image[i])


def ramp(field: Field) -> Field:
    """Smooth step: 0 below -1, 1 above 1."""
    t = np.clip(field * np.float32(0.5) + np.float32(0.5), 0, 1)
    return np.asarray(t * t * (np.float32(3) - np.float32(2) * t), np.float32)


def crest(field: Field, width: float) -> Field:
    """1 along the zero lines of a field, falling to 0 over `width` deviations: a net of lines."""
    return np.asarray(np.clip(np.float32(1) - np.abs(field) * np.float32(1 / width), 0, 1), np.float32)
