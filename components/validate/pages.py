"""The files of a validation: metrics, answers to the questions on trust, predictions, and the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from components.common.artifacts.folder import sha256_file
from components.common.artifacts.json_file import write_atomic
from components.common.artifacts.lineage import FILE as LINEAGE
from components.common.artifacts.lineage import Lineage
from components.common.artifacts.metrics import FILE as METRICS
from components.common.artifacts.metrics import Metrics
from components.common.artifacts.policy import DecisionPolicy
from components.common.artifacts.presentation import value_words
from components.common.artifacts.scores import Scores
from components.common.artifacts.trust import FILE as TRUST
from components.common.artifacts.trust import save_trust
from components.common.artifacts.validation import FigureKey, Validation
from components.evaluate.analysis import Inputs, Settings, analyse
from components.evaluate.predictions import FILE as PREDICTIONS
from components.evaluate.predictions import predictions_csv
from components.evaluate.regenerate import REPORT
from components.evaluate.report import SECTIONS, Page, Said, report_html
from components.validate.trust import questions

HEADINGS: Mapping[FigureKey, tuple[str, str]] = {
    "roc_auc": ("ROC-AUC", "1 is perfect, 0.5 chance"),
    "sensitivity": ("sensitivity", "per image, at the shipped threshold"),
    "specificity": ("specificity", "per image, at the shipped threshold"),
    "calibration_intercept": (
        "calibration in the large",
        "0 is perfect; above 0, malignant images are more common than predicted",
    ),
    "calibration_slope": ("calibration slope", "1 is perfect; below 1, probabilities are too extreme"),
}
_SECTIONS = {
    **SECTIONS,
    "compared": "There and here: the internal test and this clinic",
    "data": "Data: from the clinic's table to the images that were shown",
}


@dataclass(frozen=True)
class Found:
    """What a validation has found.

    Attributes:
        scores: of the labelled images.
        columns: (n,) columns that slices are cut by.
        policy: the bundle's.
        record: content of validation.json.
        lineage: where the rows of the table went.
        context: content of context.json.
        file: the scores as they are saved.
    """

    scores: Scores
    columns: Mapping[str, npt.NDArray[Any]]
    policy: DecisionPolicy
    record: Validation
    lineage: Lineage
    context: Mapping[str, Any]
    file: Path


def write_pages(found: Found, settings: Settings, folder: Path) -> Metrics:
    """Writes metrics, lineage, trust, predictions and report into `folder`; returns the metrics."""
    inputs = Inputs(found.scores, found.columns, found.policy, test_probs_sha256=sha256_file(found.file))
    metrics = analyse(inputs, settings)
    trust = questions(metrics, found.record, found.lineage)
    metrics.save(folder / METRICS)
    found.lineage.save(folder / LINEAGE)
    save_trust(folder / TRUST, trust)
    write_atomic(folder / PREDICTIONS, predictions_csv(found.scores, found.policy))
    said = Said(metrics, (), trust, found.lineage, (), found.context)
    write_atomic(folder / REPORT, report_html(inputs, settings, said, _page(found.record)))
    return metrics


def tone(record: Validation) -> str:
    """How the answer is coloured: a promise that holds is good news only where the model ranks and clears as before."""
    worse = [
        one.name
        for one in record.figures
        if one.name in ("roc_auc", "specificity") and one.difference and (one.difference.upper or 0) < 0
    ]
    if record.verdict.answer == "does not hold":
        return "bad"
    return "good" if record.verdict.answer == "holds" and not worse else "unsure"


def _page(record: Validation) -> Page:
    return Page(
        folder=Path(__file__).parent / "templates",
        template="validation.html.j2",
        sections=_SECTIONS,
        short={"compared": "There and here"},
        values={"v": record, "headings": HEADINGS, "value_words": value_words, "tone": tone(record)},
    )
