"""What the last task of a run says: how it ended, in the log and as a page for the Kubeflow UI."""

from __future__ import annotations

import logging
from pathlib import Path

from components.common.runtime.session import setup_logging

log = logging.getLogger("lesionflow")


def write_exit_report(state: str, message: str | None, out: Path) -> str:
    """Logs how a run ended and writes the same as Markdown.

    Args:
        state: SUCCEEDED, FAILED or CANCELLED, as Kubeflow names it.
        message: Kubeflow's own words for a failure, if any.
        out: the Markdown file.

    Returns:
        The line that was logged.
    """
    setup_logging()
    said = " ".join((message or "").split())
    line = f"run ended: {state}" + (f", {said}" if said else "")
    if state == "SUCCEEDED":
        log.info(line)
        advice = "The report is the output `report` of *evaluate*; the bundle is the output of *export*."
    else:
        log.error(line)
        advice = "`lesionflow status RUN` names the step and its reason, `lesionflow logs RUN` shows what it wrote."
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(f"# {state}\n\n{said + chr(10) * 2 if said else ''}{advice}\n", encoding="utf-8")
    return line
