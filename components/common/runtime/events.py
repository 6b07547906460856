"""Events by which a step reports its state and its progress.

Under `lesionflow run` the reports are lines of a file
named by LESIONFLOW_EVENTS, which the parent process draws as bars; anywhere else progress becomes a
log line every few seconds, which is what a person reading `kubectl logs` needs.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

EVENTS_VARIABLE = "LESIONFLOW_EVENTS"
_LOG_EVERY_S = 10.0
_EVENT_EVERY_S = 0.2

log = logging.getLogger(__name__)


def emit(event: dict[str, Any]) -> None:
    """Appends one event to the events file, if somebody is watching."""
    target = os.environ.get(EVENTS_VARIABLE)
    if target:
        with Path(target).open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(event) + "\n")  # one short write: lines never interleave


class Progress:
    """Counts units of work; `advance` is cheap enough to be called once per image."""

    def __init__(self, what: str, total: int) -> None:
        self.what, self.total, self.done = what, total, 0
        self._started = self._logged = time.monotonic()
        self._emitted = 0.0

    def advance(self, n: int = 1, note: str = "") -> None:
        """Counts `n` more units; `note` is shown beside the bar (a loss, a file name)."""
        self.done += n
        now = time.monotonic()
        if now - self._emitted >= _EVENT_EVERY_S or self.done >= self.total:
            self._emitted = now
            emit({"event": "progress", "what": self.what, "done": self.done, "total": self.total, "note": note})
        if now - self._logged >= _LOG_EVERY_S:
            self._logged = now
            rate = self.done / max(now - self._started, 1e-9)
            left = (self.total - self.done) / rate if rate else 0.0
            log.info("%s: %d of %d, %.1f/s, about %.0f s left %s", self.what, self.done, self.total, rate, left, note)


@contextmanager
def progress(what: str, total: int) -> Iterator[Progress]:
    """A progress display for `total` units of `what`; ends complete unless an error cuts it short."""
    bar = Progress(what, total)
    emit({"event": "progress", "what": what, "done": 0, "total": total, "note": ""})
    yield bar
    emit({"event": "progress", "what": what, "done": bar.total, "total": bar.total, "note": ""})
