"""How far probabilities are from what happened: log loss, Brier score, equal-mass calibration error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.common.statistics.numeric import Floats

BINS = 15
_EPS = 1e-15


@dataclass(frozen=True)
class Bins:
    """A reliability diagram's points, one entry for each bin that holds an image.

    Attributes:
        predicted: mean probability.
        observed: malignant share.
        count: images.
    """

    predicted: Floats
    observed: Floats
    count: npt.NDArray[np.int64]


def log_loss(y: Floats, p: Floats) -> float:
    """Mean -ln P(what happened), in nats; p clipped to [1e-15, 1 - 1e-15]."""
    return float(np.mean(log_losses(y, p)))


def log_losses(y: Floats, p: Floats) -> Floats:
    """(n,) -ln P(what happened) of each image."""
    q = np.clip(np.asarray(p, np.float64), _EPS, 1 - _EPS)
    return -np.where(np.asarray(y) == 1, np.log(q), np.log1p(-q))


def brier(y: Floats, p: Floats) -> float:
    """Mean (p - y)^2 (Brier 1950)."""
    return float(np.mean((np.asarray(p, np.float64) - y) ** 2))


def bin_of(p: Floats, bins: int = BINS) -> npt.NDArray[np.intp]:
    """(n,) bin of each image when p is cut at its quantiles; equal probabilities share a bin."""
    edges = np.percentile(p, np.linspace(0, 1, bins + 1) * 100)  # as scikit-learn computes them, to the last bit
    return np.searchsorted(edges[1:-1], p)


def equal_mass_bins(y: Floats, p: Floats, bins: int = BINS) -> Bins:
    """Reliability points over equal-mass bins; agrees with sklearn's `calibration_curve(strategy="quantile")`."""
    which = bin_of(p, bins)
    count = np.bincount(which, minlength=bins)
    some = count > 0
    total = np.maximum(count, 1)
    predicted = np.bincount(which, weights=p, minlength=bins) / total
    observed = np.bincount(which, weights=y, minlength=bins) / total
    return Bins(predicted[some], observed[some], count[some].astype(np.int64))


def calibration_error(y: Floats, p: Floats, bins: int = BINS) -> float:
    """Equal-mass expected calibration error: mean over bins of |observed - predicted|, weighted by count.

    >>> y, p = np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.1, 0.1, 0.7, 0.7])
    >>> round(calibration_error(y, p, bins=2), 3)
    0.2
    """
    points = equal_mass_bins(y, p, bins)
    return float(np.sum(points.count * np.abs(points.observed - points.predicted)) / points.count.sum())


def calibration_error_debiased(y: Floats, p: Floats, bins: int = BINS) -> float:
    """Root mean square calibration error over equal-mass bins, its sampling noise subtracted (Kumar 2019).

    The observed share of a bin of m images with true share s has variance s (1 - s) / m, which the plain error
    counts as miscalibration. Its estimate is subtracted; 0 where the difference is negative (arXiv:1909.10155).
    """
    points = equal_mass_bins(y, p, bins)
    some = points.count > 1
    count, observed = points.count[some], points.observed[some]
    noise = observed * (1 - observed) / (count - 1)
    squared = np.sum(count * ((observed - points.predicted[some]) ** 2 - noise)) / max(int(count.sum()), 1)
    return float(np.sqrt(max(squared, 0.0)))


def calibration_error_null(p: Floats, bins: int = BINS, simulations: int = 1000, seed: int = 0) -> Floats:
    """Calibration errors that perfectly calibrated probabilities `p` would show by chance, sorted.

    Labels are drawn y ~ Bernoulli(p). At n = 1,490 the 95th percentile is about 0.02: an observed
    error below it says nothing against the probabilities (Kumar 2019).
    """
    which = bin_of(p, bins)
    order = np.argsort(which, kind="stable")
    q = np.asarray(p, np.float64)[order]
    starts = np.flatnonzero(np.r_[True, np.diff(which[order]) > 0])
    predicted = np.add.reduceat(q, starts)
    rng = np.random.default_rng(seed)
    errors = np.empty(simulations)
    for i in range(simulations):
        observed = np.add.reduceat((rng.random(len(q)) < q).astype(np.float64), starts)
        errors[i] = np.abs(observed - predicted).sum() / len(q)
    return np.sort(errors)
