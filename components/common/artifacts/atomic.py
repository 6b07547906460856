"""A place beside the target where new content is made, and what killed processes left in such places.

`kill -9` and a lost node run no `finally`. So the maker holds a lock on its workplace, which the kernel
lets go when the process is gone: an unlocked workplace is abandoned, whoever finds it, and is cleared away.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_NEW, _OLD = "new", "old"


@contextmanager
def replacing(out: Path) -> Iterator[Path]:
    """Yields an empty folder; on success it takes the place of `out`, on any error it is removed.

    Workplaces that earlier, killed processes left beside `out` are removed first. One of them that was
    killed between taking the old content away and putting the new in its place gives the old back.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    clear_abandoned(out)
    place, lock = _locked_place(out)
    try:
        (place / _NEW).mkdir()
        yield place / _NEW
        if out.exists():
            out.rename(place / _OLD)
        (place / _NEW).rename(out)
    finally:
        _give_back(place, out)
        shutil.rmtree(place, ignore_errors=True)
        os.close(lock)


def clear_abandoned(out: Path) -> None:
    """Removes the workplaces of killed processes beside `out`; old content that one had taken away returns."""
    for place in sorted(out.parent.glob(f".{_escaped(out.name)}.*.partial")):
        if not place.is_dir() or not _is_abandoned(place):
            continue
        _give_back(place, out)
        shutil.rmtree(place, ignore_errors=True)


def _locked_place(out: Path) -> tuple[Path, int]:
    while True:
        place = out.with_name(f".{out.name}.{os.getpid()}-{secrets.token_hex(4)}.partial")
        place.mkdir()
        try:
            lock = os.open(place, os.O_RDONLY)
        except FileNotFoundError:  # another process took it for abandoned before it was locked
            continue
        with suppress(OSError):  # a file system without locks, where nothing is ever taken for abandoned
            fcntl.flock(lock, fcntl.LOCK_EX)
        if place.exists():
            return place, lock
        os.close(lock)


def _give_back(place: Path, out: Path) -> None:
    if not out.exists() and (place / _OLD).exists():
        (place / _OLD).rename(out)


def _is_abandoned(place: Path) -> bool:
    handle = os.open(place, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(handle)


def _escaped(name: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)
