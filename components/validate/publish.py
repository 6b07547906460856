"""Hands a validation to KFP's output artifacts; needs their methods only, not kfp."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from components.common.artifacts.json_file import write_atomic
from components.evaluate.kfp_values import confusion_matrix, kfp_metrics, roc_points
from components.evaluate.publish import kfp_page
from components.validate.pages import REPORT
from components.validate.run import ValidateResult


def publish(result: ValidateResult, report: Any, roc: Any, metrics: Any) -> None:
    """Fills HTML, ClassificationMetrics and Metrics, the latter two with finite Python numbers."""
    page = Path(report.path)
    page.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(page, kfp_page((result.path / REPORT).read_text(encoding="utf-8")))
    roc.log_roc_curve(*roc_points(result.scores))
    roc.log_confusion_matrix(*confusion_matrix(result.metrics.confusion))
    for name, value in kfp_metrics(result.metrics).items():
        metrics.log_metric(name, value)
