"""SIGTERM, as Kubernetes sends it before it takes a node away.

Training finishes the step, saves a checkpoint and exits with code 75.
"""

from __future__ import annotations

import logging
import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

from components.common.runtime.errors import LesionflowError

log = logging.getLogger(__name__)


class StoppedError(LesionflowError):
    """Training was told to stop and has saved its state; the same command resumes from there."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h: try again


class StopAskedError(Exception):
    """SIGTERM came where nothing needs to be finished; caught by the loop, which saves and exits."""


class StopRequest:
    """Handles SIGTERM while it is active; outside the main thread signals cannot be caught and nothing is handled.

    Attributes:
        asked: SIGTERM came.
        saves: there is a state worth saving: SIGTERM is recorded and the loop checks `asked`. Before that,
            while records are read and the network is built, SIGTERM ends the run at once.
    """

    def __init__(self) -> None:
        self.asked = self.saves = False
        self._previous: Any = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGTERM, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGTERM, self._previous)

    def raise_if_asked(self) -> None:
        """Raises `StopAskedError` once SIGTERM came."""
        if self.asked:
            raise StopAskedError

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        if not self.saves:
            raise StoppedError("stopped by SIGTERM before the first step; run the same command again")
        log.warning("SIGTERM received: saving after this step")
