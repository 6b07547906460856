"""Hands what the monitor found to KFP's output artifacts; needs their methods only, not kfp."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from components.common.artifacts.json_file import write_atomic
from components.monitor.alarm import PAGE
from components.monitor.run import MonitorResult

log = logging.getLogger("lesionflow")


def publish(result: MonitorResult, page: Any, metrics: Any) -> None:
    """Fills HTML and Metrics, and logs what a command would print."""
    target = Path(page.path)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(target, (result.path / PAGE).read_bytes())
    counts = {"alarms": len(result.alarms), "predictions": result.images, "labels": result.labelled}
    for name, value in counts.items():
        metrics.log_metric(name, float(value))
    for line in result.lines:
        log.info(line)
