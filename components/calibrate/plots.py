"""Plots of a calibration: reliability before and after, and the threshold among all others."""

from __future__ import annotations

import numpy as np

from components.common.artifacts.policy import DecisionPolicy
from components.common.artifacts.scores import Scores
from components.common.runtime.svg import BENIGN, INK, MALIGNANT, MODEL, MUTED, new_axes, to_svg
from components.common.statistics.numeric import sigmoid
from components.common.statistics.reliability import equal_mass_bins


def reliability_svg(scores: Scores, policy: DecisionPolicy) -> str:
    """Observed malignant share against mean probability in 15 equal-mass bins, raw and calibrated."""
    y = scores.label.astype(np.float64)
    figure, axes = new_axes()
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle="--", label="perfect")
    for p, colour, marker, name in (
        (sigmoid(scores.logit), MUTED, "s", "raw"),
        (policy.probability(scores.logit), MODEL, "o", f"calibrated ({policy.calibrator.name})"),
    ):
        points = equal_mass_bins(y, p)
        axes.plot(points.predicted, points.observed, color=colour, marker=marker, markersize=4, label=name)
    axes.set(xlabel="mean predicted probability", ylabel="malignant share observed", xlim=(0, 1), ylim=(0, 1))
    axes.set_title("Reliability on validation")
    axes.legend(loc="upper left")
    return to_svg(figure, "Reliability diagram on validation, before and after calibration")


def operating_point_svg(scores: Scores, policy: DecisionPolicy) -> str:
    """Sensitivity and specificity over the threshold probability, with the chosen point."""
    grid = np.unique(np.quantile(scores.logit, np.linspace(0, 1, 400)))
    malignant, benign = (np.sort(scores.logit[scores.label == k]) for k in (1, 0))
    sensitivity = 1 - np.searchsorted(malignant, grid, side="left") / len(malignant)
    specificity = np.searchsorted(benign, grid, side="left") / len(benign)
    probability = policy.probability(grid)
    figure, axes = new_axes()
    axes.plot(probability, sensitivity, color=MALIGNANT, label="sensitivity")
    axes.plot(probability, specificity, color=BENIGN, label="specificity")
    axes.axvline(policy.threshold_probability, color=INK, linewidth=1)
    if policy.abstain:
        axes.axvspan(policy.abstain["low"], policy.abstain["high"], color=MUTED, alpha=0.2, linewidth=0)
    axes.set(xlabel="threshold probability", ylabel="share of validation images", ylim=(0, 1.02))
    axes.set_title(f"Operating point: {policy.operating_point['policy']}, {policy.threshold_probability:.3f}")
    axes.legend(loc="center right")
    return to_svg(figure, "Sensitivity and specificity over the threshold")
