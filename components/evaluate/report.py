"""The HTML report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from components.evaluate.analysis import Inputs, Settings
from components.evaluate.gate import Verdict
from components.evaluate.summary import summary_markdown


def report_html(
    inputs: Inputs,
    settings: Settings,
    metrics: Mapping[str, Any],
    verdicts: Sequence[Verdict],
    context: Mapping[str, Any],
) -> str:
    """report.html."""
    return f"<!doctype html><html><body><pre>{summary_markdown(metrics, verdicts)}</pre></body></html>"
