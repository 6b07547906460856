"""Are the probabilities right: in the large, in slope, bin by bin, and Brier's decomposition."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.isotonic import IsotonicRegression

from components.common.artifacts.metrics import Calibration, Estimate, ReliabilityBin
from components.common.statistics.intervals import Interval, percentile, proportion, rarer
from components.common.statistics.logistic import fit_logistic
from components.common.statistics.numeric import Floats, logit_of, sigmoid
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
from components.common.statistics.resampling import Codes, Counts, group_counts

_STEPS = 12
_WORK = 2_000_000_000  # rows times resamples: beyond it the refits use fewer resamples, and say so


def calibration_metrics(
    probability: Floats, label: npt.NDArray[np.int8], codes: Codes, groups: int, resamples: int, seed: int
) -> Calibration:
    """Whether probabilities match what happened: in the large, in slope, bin by bin, and Brier's decomposition."""
    y = label.astype(np.float64)
    b = max(200, min(resamples, _WORK // len(y)))
    intercept, slope = recalibration(probability, y, codes, groups, b, seed)
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


def recalibration(
    probability: Floats, y: Floats, codes: Codes, groups: int, resamples: int, seed: int
) -> tuple[Interval, Interval]:
    """Calibration-in-the-large a of logit P(y) = a + s', and slope b of logit P(y) = c + b s'.

    Perfect probabilities have a = 0 and b = 1 (Cox 1958, doi:10.1093/biomet/45.3-4.562).
    """
    s = logit_of(np.clip(probability, 1e-7, 1 - 1e-7))
    if not 0 < y.sum() < len(y):
        return Interval(None, None, None), Interval(None, None, None)
    ones = np.ones_like(s)
    a = float(fit_logistic(ones[:, None], y, offset=s)[0])
    line = fit_logistic(np.column_stack([ones, s]), y)
    found = [_refit(s, y, c[codes].astype(np.float64), a, line) for c in _blocks(groups, len(y), resamples, seed)]
    intercepts, slopes = (np.concatenate(part) for part in zip(*found, strict=True))
    units = rarer(codes, y.astype(np.int8))
    return percentile(a, intercepts, units), percentile(float(line[1]), slopes, units)


def _blocks(groups: int, rows: int, resamples: int, seed: int) -> Iterator[Counts]:
    return group_counts(groups, resamples, seed, cells=max(groups, 2_000_000 * groups // rows))


def _refit(s: Floats, y: Floats, w: Floats, a: float, line: Floats) -> tuple[Floats, Floats]:
    """Newton steps from the full fit, for (n, b) weights at once; NaN where a resample does not converge."""
    columns = w.shape[1]
    intercept, c, d = np.full(columns, a), np.full(columns, line[0]), np.full(columns, line[1])
    s, y = s[:, None], y[:, None]
    with np.errstate(all="ignore"):
        for _ in range(_STEPS):
            p = sigmoid(s + intercept)
            intercept = intercept - (w * (p - y)).sum(0) / (w * p * (1 - p)).sum(0)
            p = sigmoid(c + d * s)
            v, r = w * p * (1 - p), w * (p - y)
            h0, h1, h2 = v.sum(0), (v * s).sum(0), (v * s * s).sum(0)
            g0, g1 = r.sum(0), (r * s).sum(0)
            det = h0 * h2 - h1 * h1
            step0, step1 = (h2 * g0 - h1 * g1) / det, (h0 * g1 - h1 * g0) / det
            c, d = c - step0, d - step1
            if np.nanmax(np.abs(step1)) < 1e-9:
                break
        d = np.where(np.abs(step1) < 1e-3, d, np.nan)
    return intercept, d


@dataclass(frozen=True)
class Brier:
    """score = miscalibration - discrimination + uncertainty."""

    score: float
    miscalibration: float
    discrimination: float
    uncertainty: float


def brier_decomposition(y: Floats, probability: Floats) -> Brier:
    """The Brier score in three parts by isotonic regression (Dimitriadis 2021, doi:10.1073/pnas.2016191118)."""
    fitted = IsotonicRegression().fit_transform(probability, y)
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
