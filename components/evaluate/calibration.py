"""Calibration: in the large, slope, reliability bins, and the decomposition of the Brier score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.isotonic import IsotonicRegression

from components.common.artifacts.estimate import Estimate
from components.common.artifacts.metrics import Calibration, ReliabilityBin
from components.common.statistics.intervals import proportion
from components.common.statistics.numeric import Floats
from components.common.statistics.recalibration import calibration_line
from components.common.statistics.reliability import (
    BINS,
    bin_of,
    brier,
    calibration_error,
    calibration_error_debiased,
    calibration_error_null,
    equal_mass_bins,
    log_loss,
)
from components.common.statistics.resampling import Codes, group_counts

_WORK = 2_000_000_000  # rows times resamples: beyond it the refits use fewer resamples, and say so


def calibration_metrics(
    probability: Floats, label: npt.NDArray[np.int8], codes: Codes, groups: int, resamples: int, seed: int
) -> Calibration:
    """Calibration in the large and slope, errors, reliability bins, and the decomposition of the Brier score."""
    y = label.astype(np.float64)
    b = max(200, min(resamples, _WORK // len(y)))
    intercept, slope = calibration_line(probability, y, codes, groups, b, seed)
    null = calibration_error_null(probability, seed=seed)
    parts = brier_decomposition(y, probability)
    return Calibration(
        slope=Estimate.of(slope),
        intercept=Estimate.of(intercept),
        resamples=int(b),
        ece=calibration_error(y, probability),
        ece_debiased=calibration_error_debiased(y, probability),
        ece_null_95=float(np.quantile(null, 0.95)),
        ece_null_mean=float(null.mean()),
        log_loss=log_loss(y, probability),
        brier=parts.score,
        brier_miscalibration=parts.miscalibration,
        brier_discrimination=parts.discrimination,
        brier_uncertainty=parts.uncertainty,
        bins=reliability_bins(probability, y, codes, groups, resamples, seed),
    )


@dataclass(frozen=True)
class Brier:
    """score = miscalibration - discrimination + uncertainty."""

    score: float
    miscalibration: float
    discrimination: float
    uncertainty: float


def brier_decomposition(y: Floats, probability: Floats) -> Brier:
    """The Brier score in three parts by isotonic regression (Dimitriadis 2021, doi:10.1073/pnas.2016191118)."""
    # clip: it merges probabilities that are nearly equal, and the outermost would then lie outside of its range
    fitted = IsotonicRegression(out_of_bounds="clip").fit_transform(probability, y)
    score, best, base = brier(y, probability), brier(y, fitted), brier(y, np.full_like(y, y.mean()))
    return Brier(score, score - best, base - best, base)


def reliability_bins(
    probability: Floats, y: Floats, codes: Codes, groups: int, resamples: int, seed: int
) -> list[ReliabilityBin]:
    """Points of the reliability diagram, the observed share with its group-bootstrap interval."""
    which = bin_of(probability, BINS)
    _, order = np.unique(which, return_inverse=True)
    points = equal_mass_bins(y, probability)
    k = len(points.count)
    both = np.zeros((2, k, groups), np.float32)
    np.add.at(both[0], (order, codes), 1)
    np.add.at(both[1], (order, codes), y.astype(np.float32))
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = [
            (both[1] @ c.astype(np.float32)) / (both[0] @ c.astype(np.float32))
            for c in group_counts(groups, resamples, seed)
        ]
    resampled = np.hstack(shares)
    lesions = [len(np.unique(codes[order == j])) for j in range(k)]
    return [
        ReliabilityBin(
            predicted=float(p),
            count=int(n),
            observed=Estimate.of(proportion(float(o), row.astype(np.float64), g)),
        )
        for p, o, n, g, row in zip(points.predicted, points.observed, points.count, lesions, resampled, strict=True)
    ]
