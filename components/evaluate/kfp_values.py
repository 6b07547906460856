"""What may reach KFP: Python ints and finite floats, few enough points to be stored as metadata.

NumPy numbers are refused by KFP, and one non-finite number fails a run after its task has succeeded;
`sklearn.metrics.roc_curve` starts with an infinite threshold, so the curve here is our own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from components.common.artifacts.scores import Scores

ROC_POINTS = 200
_SHOWN = (
    "roc_auc", "average_precision", "sensitivity", "specificity", "ppv", "npv", "predicted_positive_rate",
)  # fmt: skip


def finite(value: Any) -> float | None:
    """A Python float, or None for what is no finite number."""
    if value is None or isinstance(value, bool | str):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def kfp_metrics(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The figures shown beside the task; those that could not be computed are left out."""
    found: dict[str, float | None] = {
        name: finite(metrics[name]) for name in ("n", "malignant", "groups", "prevalence")
    }
    for name in _SHOWN:
        found[name] = finite(metrics[name]["value"])
        found[f"{name}_lower"] = finite(metrics[name]["lower"])
        found[f"{name}_upper"] = finite(metrics[name]["upper"])
    found["threshold_probability"] = finite(metrics["threshold"]["probability"])
    found["calibration_slope"] = finite(metrics["calibration"]["slope"]["value"])
    found["calibration_ece"] = finite(metrics["calibration"]["ece"])
    return {name: value for name, value in found.items() if value is not None}


def roc_points(scores: Scores, points: int = ROC_POINTS) -> tuple[list[float], list[float], list[float]]:
    """False positive rates, true positive rates and probability thresholds, at most `points` of each.

    From (0, 0) to (1, 1); the first threshold lies just above the highest probability, never at infinity.
    """
    p, malignant = scores.probability, scores.label == 1
    positives, negatives = max(int(malignant.sum()), 1), max(int((~malignant).sum()), 1)
    thresholds = np.unique(p)[::-1]
    if len(thresholds) > points - 1:
        keep = np.unique(np.linspace(0, len(thresholds) - 1, points - 1).round().astype(int))
        thresholds = thresholds[keep]
    tp = np.searchsorted(np.sort(-p[malignant]), -thresholds, side="right") / positives
    fp = np.searchsorted(np.sort(-p[~malignant]), -thresholds, side="right") / negatives
    first = min(float(thresholds[0]) + 1e-6, 1.0 + 1e-6)
    return (
        [0.0, *(float(v) for v in fp)],
        [0.0, *(float(v) for v in tp)],
        [first, *(float(v) for v in thresholds)],
    )


def confusion_matrix(metrics: Mapping[str, Any]) -> tuple[list[str], list[list[int]]]:
    """Categories and counts, rows are the truth: benign, malignant."""
    c = metrics["confusion"]
    return ["benign", "malignant"], [[int(c["tn"]), int(c["fp"])], [int(c["fn"]), int(c["tp"])]]
