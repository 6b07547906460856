"""What surrounds a step wherever it runs: logging, state events, and errors a person can act on."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from components.common.runtime.errors import LesionflowError
from components.common.runtime.events import emit
from components.common.runtime.secrets import without_secrets

DEBUG_VARIABLE = "LESIONFLOW_DEBUG"
FULL = (errno.ENOSPC, errno.EDQUOT)
_NO_ROOM = (*FULL, errno.EROFS)
# What the compiled pipeline tells a pod: where checkpoints and the test ledger live, which outlive it, and the run,
# equal for all its attempts.
CHECKPOINT_ROOT_VARIABLE = "LESIONFLOW_CHECKPOINT_ROOT"
RUN_ID_VARIABLE = "LESIONFLOW_RUN_ID"

log = logging.getLogger("lesionflow")


def setup_logging() -> None:
    """One line per record on stderr, with time and level; safe to call twice."""
    # TensorFlow's C++ side announces its build and looks for GPUs at length; its errors still come through
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    logging.getLogger("absl").setLevel(logging.WARNING)  # TensorFlow's Python side
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_WithoutSecrets("%(asctime)s %(levelname)-7s %(message)s", datefmt="%H:%M:%S"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


class _WithoutSecrets(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return without_secrets(super().format(record))


@contextmanager
def step_session(name: str, *, of_command: bool = False) -> Iterator[None]:
    """Sets up logging, reports start and end of a step, and the error that ended it.

    In a pod and under KFP's local runner the last log line of a failed step is its own error; the
    error itself travels on, so the step fails.

    Args:
        name: the step.
        of_command: the step is the body of a command, whose `exit_code_of` writes the error: the log leaves it out.
    """
    setup_logging()
    started = time.monotonic()
    emit({"event": "start", "step": name})
    try:
        yield
    except Exception as error:
        text, code, expected = f"{type(error).__name__}: {error}", 1, False
        if isinstance(error, LesionflowError):
            text, code, expected = str(error), error.exit_code, True
        elif isinstance(error, OSError) and error.errno in _NO_ROOM:
            text, expected = no_room(error), True
        emit({"event": "failed", "step": name, "error": text, "exit_code": code})
        if expected and not of_command:
            log.error("%s failed: %s", name, text)
        raise
    seconds = time.monotonic() - started
    emit({"event": "done", "step": name, "seconds": seconds})
    log.info("%s done in %.1f s", name, seconds)


def exit_code_of(body: Callable[[], None]) -> int:
    """Runs a command's body: 0, or the error as one line on stderr and its exit code.

    With LESIONFLOW_DEBUG set the traceback, with the causes behind the error, is printed before that line.
    Anything but a `LesionflowError` or a full or read-only file system keeps its traceback: it is a defect, and a
    person who reports it needs the place.
    """
    try:
        body()
    except LesionflowError as error:
        if os.environ.get(DEBUG_VARIABLE):
            traceback.print_exc()
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    except BrokenPipeError:  # who read the output, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        if os.environ.get(DEBUG_VARIABLE):
            traceback.print_exc()
        sys.stderr.write(f"error: {no_room(error)}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; unfinished output was removed\n")
        return 130
    return 0


def no_room(error: OSError) -> str:
    """The line for a full or read-only file system: file, bytes needed where that is known, bytes free, a way out."""
    where = Path(error.filename) if isinstance(error.filename, str) else None
    said = [f"{where or 'a file that was being written'}: {error.strerror}", *getattr(error, "__notes__", [])]
    if where is not None and error.errno in FULL:
        folder = next((one for one in where.absolute().parents if one.is_dir()), Path("/"))
        said.append(f"{shutil.disk_usage(folder).free:,} bytes are free in {folder}")
    way = "make room there, or choose another folder" if error.errno in FULL else "choose a folder that may be written"
    return f"{', '.join(said)}; {way}"


@contextmanager
def native_stderr_hidden() -> Iterator[None]:
    """Hides what C++ code writes to stderr, past Python: TensorFlow's greetings while it is imported.

    They ignore TF_CPP_MIN_LOG_LEVEL, since they are written before logging is set up. A failed import
    is a Python exception and stays visible.
    """
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
