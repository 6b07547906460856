"""Hands an evaluation to KFP's output artifacts; needs their methods only, not kfp."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from components.common.artifacts.json_file import write_atomic
from components.common.bundle.card import bundle_card
from components.evaluate.kfp_values import confusion_matrix, kfp_metrics, roc_points
from components.evaluate.run import EvaluateResult


def publish(result: EvaluateResult, bundle: Path, report: Any, model_card: Any, roc: Any, metrics: Any) -> None:
    """Fills HTML, Markdown, ClassificationMetrics and Metrics, the latter two with finite Python numbers.

    Args:
        result: the evaluation.
        bundle: the bundle it is of, whose card is written here with the test metrics.
        report: KFP's HTML output.
        model_card: KFP's Markdown output.
        roc: KFP's output for ROC curve and confusion matrix.
        metrics: KFP's output for figures.
    """
    pages, card = Path(report.path), Path(model_card.path)
    for target in (pages, card):
        target.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(pages, kfp_page((result.path / "report.html").read_text(encoding="utf-8")))
    write_atomic(card, bundle_card(bundle, result.path))
    fpr, tpr, thresholds = roc_points(result.scores)
    roc.log_roc_curve(fpr, tpr, thresholds)
    roc.log_confusion_matrix(*confusion_matrix(result.metrics.confusion))
    for name, value in kfp_metrics(result.metrics).items():
        metrics.log_metric(name, value)


def kfp_page(report: str) -> str:
    """The report for the frame in which Kubeflow's UI shows it.

    The frame's address is about:srcdoc, its base that of the UI: a link to `#place` would load the UI into the frame.
    """
    return report.replace('<a href="#', '<a href="about:srcdoc#')
