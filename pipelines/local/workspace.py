"""The folder of a run's results: held by one run at a time, changed as one, and able to go on after any end.

Beside the results it holds `.steps`: outputs of finished steps, which a later run reuses, and the lock. The kernel
lets go of a lock when its process is gone, whatever ended it and whatever number a process has in its container.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from components.common.artifacts.atomic import exchange, is_scratch
from components.common.artifacts.ledger import LINES as LEDGER
from components.common.runtime.errors import ConfigError
from components.common.runtime.session import FULL, no_room

MARK = "run.json"
STEPS_FOLDER = ".steps"
_FAILED, _NEW, _OLD = "failed", "publishing", "replaced"
_KNOWN_FILES = frozenset({MARK, "run.log", "summary.json", "report.html", "lesionflow.yaml"})


def check_out(out: Path) -> None:
    """Refuses a folder with foreign content.

    Raises:
        ConfigError: `out` is a file, cannot be read, or is a folder that no earlier run has made.
    """
    try:
        if out.exists() and not out.is_dir():
            raise ConfigError(f"--out: {out} is a file; allowed: a folder")
        known = any((out / name).exists() for name in (MARK, STEPS_FOLDER, f"{_FAILED}/{MARK}"))
        if out.is_dir() and not known and not all(is_scratch(path.name) for path in out.iterdir()):
            raise ConfigError(f"--out: {out} holds files that no run has made; allowed: a new or an empty folder")
    except OSError as error:
        raise _refused(out, error) from error


@contextmanager
def held(out: Path, *, fresh: bool = False) -> Iterator[Path]:
    """Holds `out` for one run and yields its folder of steps; finishes what a killed run had begun.

    Args:
        out: the folder of results, made where it is absent and removed again where nothing was kept.
        fresh: forget the steps of earlier runs; how often they opened the test set is never forgotten.

    Raises:
        ConfigError: another run holds the folder, or it cannot be written.
    """
    try:
        made = [path for path in (out, *out.parents) if not path.exists()]
        _take_back(out)
        (out / STEPS_FOLDER).mkdir(parents=True, exist_ok=True)
        lock = os.open(out / STEPS_FOLDER / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise _refused(out, error) from error
    if not _lock(lock):  # nothing is dropped here: the other run may not have kept anything yet
        os.close(lock)
        raise ConfigError(f"--out: {out} is in use by another run; wait for its end, or give another folder")
    try:
        steps = out / STEPS_FOLDER
        _finish(out, steps)
        if fresh:
            _clear(steps, keep={"lock", LEDGER})
        yield steps
        _drop_if_unused(steps, out, made)
    except BaseException:
        _drop_if_unused(out / STEPS_FOLDER, out, made)
        raise
    finally:
        os.close(lock)


def publish(results: Path, out: Path, steps: Path) -> None:
    """Makes a complete folder of results, which lies in `steps`, the content of `out`.

    Where the file system can exchange two folders, `out` is the old run until it is the new one. A mount point,
    the current folder and a folder that holds files of others stay where they are: there the entries change one
    by one, and what a kill leaves undone is finished by the next run.
    """
    if not _exchanged(results, out, steps):
        results.rename(steps / _NEW)  # from here on the new run counts
        _finish(out, steps)


def keep_failure(results: Path, out: Path) -> None:
    """Keeps the folder of a failed run as `failed`; the results of an earlier run stay."""
    shutil.rmtree(out / _FAILED, ignore_errors=True)
    results.rename(out / _FAILED)


def link_tree(source: Path, target: Path) -> None:
    """Copies a folder without taking room for its files where the file system has hard links."""
    shutil.copytree(source, target, copy_function=_link)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _exchanged(results: Path, out: Path, steps: Path) -> bool:
    own = {path.name for path in results.iterdir()} | _KNOWN_FILES | {_FAILED, STEPS_FOLDER}
    foreign = {path.name for path in out.iterdir()} - own
    if foreign or out.is_mount() or Path.cwd().is_relative_to(out):
        return False
    beside = _beside(out)
    try:
        results.rename(beside)
    except OSError:  # the parent may not be written
        return False
    try:
        steps.rename(beside / STEPS_FOLDER)
        if not exchange(beside, out):
            raise OSError("the file system cannot exchange folders")
    except OSError:
        with suppress(FileNotFoundError):
            (beside / STEPS_FOLDER).rename(steps)
        beside.rename(results)
        return False
    shutil.rmtree(beside, ignore_errors=True)
    return True


def _beside(out: Path) -> Path:
    return out.with_name(f".{out.name}.lesionflow")


def _take_back(out: Path) -> None:
    """After a kill while the folders were exchanged: the steps come back, what is left beside `out` goes."""
    beside = _beside(out)
    if not beside.is_dir():
        return
    steps = beside / STEPS_FOLDER
    if steps.is_dir():
        lock = os.open(steps / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            if not _lock(lock):
                raise ConfigError(f"--out: {out} is in use by another run; wait for its end, or give another folder")
            if not (out / STEPS_FOLDER).exists():
                out.mkdir(exist_ok=True)
                steps.rename(out / STEPS_FOLDER)
        finally:
            os.close(lock)
    shutil.rmtree(beside, ignore_errors=True)


def _finish(out: Path, steps: Path) -> None:
    """Puts the entries of a run that counts already in the place of the old ones."""
    new, old = steps / _NEW, steps / _OLD
    if new.is_dir():
        old.mkdir(exist_ok=True)
        for path in sorted(new.iterdir()):
            target = out / path.name
            if target.exists():
                _clear_one(old / path.name)
                target.rename(old / path.name)
            path.rename(target)
        shutil.rmtree(out / _FAILED, ignore_errors=True)
        new.rmdir()
    shutil.rmtree(old, ignore_errors=True)


def _lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: two runs at once are then the user's to avoid
        return True
    return True


def _drop_if_unused(steps: Path, out: Path, made: list[Path]) -> None:
    """Leaves no folder behind in which nothing was kept."""
    kept = any((steps / "cache").glob("*.json"))
    if not kept and not (out / MARK).exists():
        shutil.rmtree(steps, ignore_errors=True)
    for path in made:
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def _clear(folder: Path, keep: set[str]) -> None:
    for path in folder.iterdir():
        if path.name not in keep:
            _clear_one(path)


def _clear_one(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _refused(out: Path, error: OSError) -> ConfigError:
    if error.errno in FULL:
        error.filename = error.filename or str(out / MARK)
        return ConfigError(f"--out: {no_room(error)}")
    said = error.strerror or str(error)
    return ConfigError(f"--out: {out} cannot be written ({said}); allowed: a folder that may be written and has room")
