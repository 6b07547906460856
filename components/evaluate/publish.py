"""Hands an evaluation or a validation to KFP's output artifacts; needs their methods only, not kfp.

What reaches KFP is Python integers and finite floats, few enough to be stored as metadata: NumPy numbers are refused,
and one number that is not finite fails a run after its task has succeeded. `sklearn.metrics.roc_curve` starts with an
infinite threshold, so the curve here is our own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from components.common.artifacts.json_file import write_atomic
from components.common.artifacts.metrics import HEADLINE, Confusion, Metrics
from components.common.artifacts.scores import Scores

ROC_POINTS = 200


def kfp_metrics(metrics: Metrics) -> dict[str, float]:
    """The figures shown beside the task; those that could not be computed are left out."""
    found: dict[str, float | None] = {
        "n": metrics.n,
        "malignant": metrics.malignant,
        "groups": metrics.groups,
        "prevalence": metrics.prevalence,
        "threshold_probability": metrics.threshold.probability,
        "calibration_slope": metrics.calibration.slope.value,
        "calibration_ece": metrics.calibration.ece,
    }
    for name in HEADLINE:
        figure = metrics.figure(name)
        if figure is not None:
            found |= {name: figure.value, f"{name}_lower": figure.lower, f"{name}_upper": figure.upper}
    return {name: float(value) for name, value in found.items() if value is not None}


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


def publish(page: Path, scores: Scores, figures: Metrics, report: Any, roc: Any, metrics: Any) -> None:
    """Fills KFP's outputs HTML, ClassificationMetrics and Metrics.

    Args:
        page: the report.
        scores: what its figures were computed from.
        figures: all of them.
        report: KFP's HTML output.
        roc: KFP's output for ROC curve and confusion matrix.
        metrics: KFP's output for figures.
    """
    write_output(report, kfp_page(page.read_text(encoding="utf-8")))
    roc.log_roc_curve(*roc_points(scores))
    roc.log_confusion_matrix(*confusion_matrix(figures.confusion))
    for name, value in kfp_metrics(figures).items():
        metrics.log_metric(name, value)


def write_output(output: Any, text: str) -> None:
    """Writes the file of one of KFP's outputs."""
    target = Path(output.path)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(target, text)


def confusion_matrix(counts: Confusion) -> tuple[list[str], list[list[int]]]:
    """Categories and counts, rows are the truth: benign, malignant."""
    return ["benign", "malignant"], [[counts.tn, counts.fp], [counts.fn, counts.tp]]


def kfp_page(report: str) -> str:
    """The report for the frame in which Kubeflow's UI shows it.

    The frame's address is about:srcdoc, its base that of the UI: a link to `#place` would load the UI into the frame.
    """
    return report.replace('<a href="#', '<a href="about:srcdoc#')
