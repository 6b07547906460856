"""Hands an evaluation to KFP's output artifacts; needs their methods only, not kfp."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from components.evaluate.kfp_values import confusion_matrix, kfp_metrics, roc_points
from components.evaluate.run import EvaluateResult


def publish(result: EvaluateResult, report: Any, roc: Any, metrics: Any) -> None:
    """Fills HTML, ClassificationMetrics and Metrics with finite Python numbers."""
    target = Path(report.path)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(result.path / "report.html", target)
    fpr, tpr, thresholds = roc_points(result.scores)
    roc.log_roc_curve(fpr, tpr, thresholds)
    roc.log_confusion_matrix(*confusion_matrix(result.metrics.confusion))
    for name, value in kfp_metrics(result.metrics).items():
        metrics.log_metric(name, value)
