"""Logistic recalibration of a finished model at another site, and how much of it the data there support.

The update keeps the order of the scores: logit P' = intercept + slope * logit P. Which of the three is taken (kept,
new intercept, new intercept and slope) is decided by the closed testing procedure of Vergouwe et al. 2017 (Stat Med
36:4529, doi:10.1002/sim.7179): each smaller update is tried against the largest, so that a model that is right there
is changed with a probability of at most alpha.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.stats import chi2

from components.common.statistics.intervals import Interval, percentile, rarer
from components.common.statistics.logistic import fit_logistic
from components.common.statistics.numeric import Floats, logit_of, sigmoid
from components.common.statistics.resampling import Codes, row_weights

Step = Literal["kept", "intercept", "intercept_and_slope"]
ALPHA = 0.05
_REFIT_STEPS = 12


@dataclass(frozen=True)
class Comparison:
    """One likelihood-ratio test of the procedure.

    Attributes:
        smaller: the update under the null hypothesis.
        statistic: twice the gain in log-likelihood of intercept and slope over `smaller`.
        degrees: degrees of freedom.
        p: its p-value.
    """

    smaller: Step
    statistic: float
    degrees: int
    p: float


@dataclass(frozen=True)
class Update:
    """A logistic recalibration: logit P' = intercept + slope * logit P.

    Attributes:
        step: which of the three.
        intercept: added to the logit, after `slope`.
        slope: multiplies the logit.
        fitted_slope: its maximum-likelihood estimate, before shrinkage; None where no slope was fitted.
        shrinkage: share of the fitted slope's distance to 1 that was taken; None where no slope was taken.
        tests: the tests in the order they were made.
    """

    step: Step
    intercept: float = 0.0
    slope: float = 1.0
    fitted_slope: float | None = None
    shrinkage: float | None = None
    tests: tuple[Comparison, ...] = ()

    def logit(self, logit: Floats) -> Floats:
        """The updated logit, any shape."""
        return self.intercept + self.slope * np.asarray(logit, np.float64)


def closed_test(logit: Floats, label: Floats, codes: Codes, largest: Step, alpha: float = ALPHA) -> Update:
    """Chooses and fits the update.

    Every group has a weight of 1, shared by its images: the likelihood is that of as many independent observations as
    there are groups, so that photographs of one lesion do not pass for evidence of their own. The tests then keep
    their level or are conservative.

    A slope is shrunken towards 1 by the factor (statistic - 1) / statistic of its own test (van Houwelingen and le
    Cessie 1990, Stat Med 9:1303; for updates Steyerberg et al. 2004, Stat Med 23:2567), and the intercept is fitted
    again around it: with few malignant groups a fitted slope is mostly noise.

    Args:
        logit: (n,) logit of the model's present probabilities.
        label: (n,) 0 or 1.
        codes: (n,) group of each image, 0..G-1.
        largest: the largest update that may be chosen.
        alpha: level of each test, and so of the whole procedure.

    Returns:
        The update. Its slope may be 0 or below where the model does not rank; the caller refuses that.
    """
    if largest == "kept":
        return Update("kept")
    weight = 1.0 / np.bincount(codes)[codes]
    columns = np.column_stack([np.ones_like(logit), logit])
    shift = float(fit_logistic(columns[:, :1], label, offset=logit, weight=weight)[0])
    fits = {"kept": np.array([0.0, 1.0]), "intercept": np.array([shift, 1.0])}
    if largest == "intercept_and_slope":
        fits["intercept_and_slope"] = fit_logistic(columns, label, weight=weight)
    steps: list[Step] = [step for step in ("kept", "intercept", "intercept_and_slope") if step in fits]
    height = {step: _log_likelihood(columns @ fits[step], label, weight) for step in steps}
    tests: list[Comparison] = []
    for smaller in steps[:-1]:
        statistic = max(0.0, 2 * (height[largest] - height[smaller]))
        degrees = steps.index(largest) - steps.index(smaller)
        tests.append(Comparison(smaller, statistic, degrees, float(chi2.sf(statistic, degrees))))
        if tests[-1].p > alpha:
            chosen = smaller
            break
    else:
        chosen = largest
    fitted = float(fits[largest][1]) if largest == "intercept_and_slope" else None
    if chosen != "intercept_and_slope":
        return Update(chosen, float(fits[chosen][0]), 1.0, fitted, None, tuple(tests))
    shrinkage = max(0.0, 1 - 1 / tests[-1].statistic)
    slope = 1 + shrinkage * (float(fits[chosen][1]) - 1)
    intercept = float(fit_logistic(columns[:, :1], label, offset=slope * logit, weight=weight)[0])
    return Update(chosen, intercept, slope, fitted, shrinkage, tuple(tests))


def _log_likelihood(logit: Floats, label: Floats, weight: Floats) -> float:
    return -float(np.sum(weight * (np.logaddexp(0.0, logit) - label * logit)))


def calibration_line(
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
    found = [refit(s, y, w, a, line) for w in row_weights(codes, groups, resamples, seed)]
    intercepts, slopes = (np.concatenate(part) for part in zip(*found, strict=True))
    units = rarer(codes, y.astype(np.int8))
    return percentile(a, intercepts, units), percentile(float(line[1]), slopes, units)


def refit(s: Floats, y: Floats, w: Floats, a: float, line: Floats) -> tuple[Floats, Floats]:
    """Newton steps from the full fit, for (n, b) weights at once; NaN where a resample does not converge."""
    columns = w.shape[1]
    intercept, c, d = np.full(columns, a), np.full(columns, line[0]), np.full(columns, line[1])
    s, y = s[:, None], y[:, None]
    with np.errstate(all="ignore"):
        for _ in range(_REFIT_STEPS):
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
