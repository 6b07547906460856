"""What the last task of a run says: how it ended and why, in the log, as an output, and as a page for the UI."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from components.common.artifacts.json_file import write_atomic
from components.common.runtime.secrets import without_secrets
from components.common.runtime.session import RUN_ID_VARIABLE, setup_logging
from pipelines.cluster.errors import ClusterError
from pipelines.cluster.failure import failures
from pipelines.cluster.in_pod import InPodApi

log = logging.getLogger("lesionflow")
# Kubeflow says COMPLETE, its local runner SUCCEEDED
_SUCCEEDED = frozenset({"COMPLETE", "SUCCEEDED"})
_CANCELED = frozenset({"CANCELED", "CANCELLED", "CANCELING"})
_RESULTS = (
    "The report is an output of *evaluate* (in their own pipelines of *validate* or *monitor*), the bundle is one "
    "of *export*; `lesionflow fetch RUN` copies them."
)
_COMMANDS = "`lesionflow status RUN` shows every step, `lesionflow logs RUN` what each wrote."


def write_exit_report(state: str, message: str | None, page: Path, summary: Path) -> str:
    """Logs how a run ended and writes the same as Markdown and as text.

    Args:
        state: COMPLETE, SUCCEEDED, FAILED or CANCELLED, as Kubeflow names it.
        message: Kubeflow's own words for a failure, if any.
        page: the Markdown file.
        summary: the text file, an output parameter.

    Returns:
        The line that was logged.
    """
    setup_logging()
    reason = ""
    if state in _SUCCEEDED:
        title, advice, level = "Succeeded", _RESULTS, logging.INFO
    elif state in _CANCELED:
        title, advice, level = "Canceled", _COMMANDS, logging.WARNING
    else:
        title, advice, level = "Failed", _COMMANDS, logging.ERROR
        reason = _reason(message)
    line = f"run {title.lower()}" + (f": {reason}" if reason else "")
    log.log(level, line)
    # indented, so that nothing in the reason is taken for Markdown or HTML
    quoted = "".join(f"    {part}\n" for part in reason.splitlines())
    for file, text in ((page, f"# {title}\n\n{quoted}{chr(10) if quoted else ''}{advice}\n"), (summary, line)):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, text)
    return line


def _reason(message: str | None) -> str:
    """Why the run failed: each failed step's own error from its pod, else what Kubeflow says."""
    try:
        found = failures(InPodApi(), os.environ.get(RUN_ID_VARIABLE, ""))
    except ClusterError as error:
        log.info("the pods of this run cannot be read from here: %s", error)
        found = []
    return "\n".join(found) or without_secrets(" ".join((message or "").split()))
