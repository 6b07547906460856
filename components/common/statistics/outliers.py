"""How far an image lies from the training images: Mahalanobis distances of features pooled at several depths.

Lee et al. 2018 (arXiv:1807.03888) without their classes and without their weights, which are fitted on outside
pictures: one Gaussian for each depth, and the plain mean over depths. Covariances are shrunk (Ledoit and Wolf 2004,
doi:10.1016/S0047-259X(03)00096-4), so that fewer images than features are enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.common.statistics.conformal import outside
from components.common.statistics.numeric import Floats

_LEAST = 0.01  # of a depth's typical spread: a channel that never moved must not decide by its rounding
_CLEAR = 1.001  # above the largest calibration value, where there is no next one to stay clear of


@dataclass(frozen=True)
class Gaussian:
    """The training images at one depth.

    Attributes:
        mean: (c,) of the features.
        whitening: (c, c); (features - mean) @ whitening has unit covariance on training images.
    """

    mean: npt.NDArray[np.float32]
    whitening: npt.NDArray[np.float32]


def fit_gaussian(features: Floats) -> Gaussian:
    """Mean and shrunk covariance of (n, c) features, n >= 2."""
    from sklearn.covariance import ledoit_wolf

    mean, spread = features.mean(axis=0), features.std(axis=0)
    scale = np.maximum(spread, _LEAST * np.sqrt(np.mean(spread**2)) + np.finfo(np.float32).tiny)
    covariance, _ = ledoit_wolf((features - mean) / scale, assume_centered=True)
    whitening = np.linalg.inv(np.linalg.cholesky(covariance)).T / scale[:, None]
    return Gaussian(mean.astype(np.float32), whitening.astype(np.float32))


def distances(gaussians: Sequence[Gaussian], features: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    """Mean over depths of the root mean square of whitened features: about 1 for a training image.

    Args:
        gaussians: one per depth.
        features: (n, c) for each depth, in the same order.

    Returns:
        (n,) distances.
    """
    found = [
        np.sqrt(np.mean(np.square((values - one.mean) @ one.whitening), axis=1, dtype=np.float32))
        for one, values in zip(gaussians, features, strict=True)
    ]
    return np.asarray(np.mean(found, axis=0), np.float32)


def upper_limit(distance: Floats, group_id: npt.NDArray[np.str_], alpha: float) -> float | None:
    """The largest distance that is still accepted: split conformal over groups, a group by its most distant image.

    At most `alpha` of new groups have an image beyond it (see `conformal`). It lies half-way between the calibration
    value that conformal prediction names and the next larger one, so that rounding decides about neither.

    Args:
        distance: (n,) of calibration images.
        group_id: (n,) their groups.
        alpha: accepted share, in (0, 1).

    Returns:
        The limit, or None with fewer than 1 / alpha - 1 groups.
    """
    _, codes = np.unique(group_id, return_inverse=True)
    farthest = np.zeros(codes.max() + 1)
    np.maximum.at(farthest, codes, distance)
    k = outside(len(farthest), alpha)
    if k < 1:
        return None
    ordered = np.sort(farthest)[::-1]
    return float((ordered[k - 1] + ordered[k - 2]) / 2) if k > 1 else float(ordered[0] * _CLEAR)
