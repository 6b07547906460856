"""Atomic directory replacement through a locked scratch directory.

New content is made beside the target, or inside it where the target cannot be renamed: a mount point, the current
folder, a folder whose parent may not be written. Its maker holds a lock on the scratch directory, which the kernel
releases when the process ends, however it ends: an unlocked scratch directory is abandoned. Where new content was
already complete, whoever comes next finishes putting it in place; otherwise it is removed.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from components.common.runtime.errors import ArtifactError, ConfigError
from components.common.runtime.session import FULL

_NEW = "new"  # being made
_READY = "ready"  # complete: from here on the new content counts, and the old is being taken away
_PLACING = "placing"  # the old content is away, and the new one is being moved in entry by entry
_OLD = "old"
_INSIDE, _END = ".lesionflow.", ".partial"
_LOST_AND_FOUND = "lost+found"  # in the root of an ext4 volume
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
_MOUNTS = Path("/proc/self/mountinfo")


@contextmanager
def replacing(out: Path) -> Iterator[Path]:
    """Yields an empty folder; on success it takes the place of `out`, on any error it is removed.

    At every moment `out` is wholly old or wholly new for whoever opens it after `recover`, also after a kill. Several
    processes may make the same folder at once: each makes its own content, and the last one to finish stays.

    Raises:
        ConfigError: `out` cannot be made or written.
        ArtifactError: the file system became full.
    """
    out = resolved(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        recover(out)
        place, lock = _locked_place(out)
    except OSError as error:
        raise _refused(out, error) from error
    try:
        (place / _NEW).mkdir()
        yield place / _NEW
        _publish(place, out)
    except Exception as error:
        if _is_full(error):
            raise _full(out, place, error) from error
        if isinstance(error, OSError) and error.errno == errno.EROFS:
            raise _refused(out, error) from error
        raise
    finally:
        if not _is_pending(place):
            shutil.rmtree(place, ignore_errors=True)
        os.close(lock)


def recover(out: Path) -> None:
    """Finishes what killed processes had begun to put in the place of `out`, and removes what they left half made.

    Raises:
        OSError: something complete could not be put in place.
    """
    with _one_at_a_time(out):
        _recover(out)


def resolved(out: Path) -> Path:
    """`out` as an absolute path without links: a link to a folder stays, and the folder behind it is replaced.

    Raises:
        ConfigError: it leads in a circle or is too long.
    """
    try:
        return out.resolve()
    except (OSError, RuntimeError) as error:
        raise _refused(out, error) from error


def is_scratch(name: str) -> bool:
    """Whether an entry of a folder is a scratch directory of `replacing`, or lost and found files of a volume."""
    return (name.startswith(_INSIDE) and name.endswith(_END)) or name == _LOST_AND_FOUND


def exchange(one: Path, other: Path) -> bool:
    """Exchanges two folders in one step; False where system or file system cannot."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    if rename is None:
        return False
    failed: int = rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE)
    return not failed


def _publish(place: Path, out: Path) -> None:
    try:
        with _one_at_a_time(out):
            _recover(out)
            if place.parent == out:
                (place / _NEW).rename(place / _READY)
                _finish(place, out)
            elif not out.exists():
                (place / _NEW).rename(out)
            elif _places_inside(out):  # somebody is at work inside: the folder must stay
                within = out / f"{_INSIDE}{secrets.token_hex(8)}{_END}"
                within.mkdir()
                (place / _NEW).rename(within / _READY)
                _finish(within, out)
                shutil.rmtree(within, ignore_errors=True)
            elif not exchange(place / _NEW, out):
                (place / _NEW).rename(place / _READY)
                _finish(place, out)
    except OSError as error:
        kept = f"; the finished content is kept in {place}, and the next command on this folder tries again"
        raise ArtifactError(
            f"{out}: cannot be put in place ({error.strerror}){kept if _is_pending(place) else ''}"
        ) from error


def _recover(out: Path) -> None:
    for place in _places(out):
        handle = os.open(place, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # its maker is alive, or the file system has no locks and nobody can know
            continue
        else:
            _finish(place, out)
            shutil.rmtree(place, ignore_errors=True)
        finally:
            os.close(handle)


def _finish(place: Path, out: Path) -> None:
    """Puts complete content in place, from wherever a killed process stopped."""
    old, ready, placing = place / _OLD, place / _READY, place / _PLACING
    if ready.exists() and place.parent != out:
        if out.exists():
            shutil.rmtree(old, ignore_errors=True)
            out.rename(old)
        ready.rename(out)
    elif ready.exists():
        old.mkdir(exist_ok=True)
        for entry in _entries(out):
            entry.rename(old / entry.name)
        ready.rename(placing)
    if placing.exists():
        for entry in sorted(placing.iterdir()):
            entry.rename(out / entry.name)
        placing.rmdir()


def _is_pending(place: Path) -> bool:
    return (place / _READY).exists() or (place / _PLACING).exists()


def _entries(out: Path) -> list[Path]:
    return sorted(entry for entry in out.iterdir() if not is_scratch(entry.name))


def _locked_place(out: Path) -> tuple[Path, int]:
    inside = _must_stay(out)
    if inside:
        out.mkdir(exist_ok=True)
        mounted = [entry for entry in _entries(out) if _is_mount(entry)]
        if mounted:
            raise ConfigError(
                f"{out}: holds a mount point, {mounted[0]}, which cannot be replaced; choose another --out"
            )
    while True:
        name = f"{_INSIDE}{secrets.token_hex(8)}{_END}" if inside else f"{_prefix(out)}{secrets.token_hex(8)}{_END}"
        place = (out if inside else out.parent) / name
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


def _places(out: Path) -> list[Path]:
    """Scratch directories of anybody who makes or made `out`."""
    beside = [name for name in _names(out.parent) if name.startswith(_prefix(out)) and name.endswith(_END)]
    found = [out.parent / name for name in sorted(beside)]
    return [place for place in found if place.is_dir() and not place.is_symlink()] + _places_inside(out)


def _places_inside(out: Path) -> list[Path]:
    found = [out / name for name in sorted(_names(out)) if name.startswith(_INSIDE) and name.endswith(_END)]
    return [place for place in found if place.is_dir() and not place.is_symlink()]


def _names(folder: Path) -> list[str]:
    try:
        return [entry.name for entry in folder.iterdir()]
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []


def _prefix(out: Path) -> str:
    """How scratch directories of `out` begin: readable, its own, and short even where the name is as long as may be."""
    return f".{out.name[:30]}.{hashlib.sha256(os.fsencode(out.name)).hexdigest()[:8]}."


def _must_stay(out: Path) -> bool:
    """Whether `out` cannot or should not be renamed: content is then replaced inside it."""
    if not out.exists():
        return False
    with suppress(FileNotFoundError):
        if Path.cwd().is_relative_to(out):
            return True
    return _is_mount(out) or not os.access(out.parent, os.W_OK | os.X_OK)


def _is_mount(path: Path) -> bool:
    """Also of a folder that is mounted over one of the same file system, which `is_mount` does not see."""
    if path.is_mount():
        return True
    try:
        lines = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:  # not Linux
        return False
    escaped = str(path).replace("\\", "\\134").replace(" ", "\\040").replace("\t", "\\011").replace("\n", "\\012")
    return any(line.split(" ")[4] == escaped for line in lines)


@contextmanager
def _one_at_a_time(out: Path) -> Iterator[None]:
    """Keeps two processes from changing what is in the place of `out` at once."""
    handles = [os.open(home, os.O_RDONLY) for home in (out.parent, out) if home.is_dir() and os.access(home, os.R_OK)]
    try:
        for handle in handles:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        for handle in handles:
            os.close(handle)


def _refused(out: Path, error: Exception) -> ConfigError:
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return ConfigError(f"{out}: cannot be written ({said}); choose another --out, or make this one writable")


def _is_full(error: BaseException) -> bool:
    """Whether a file system was full, also where a library has made another error of it."""
    return getattr(error, "errno", None) in FULL or os.strerror(errno.ENOSPC) in str(error)


def _full(out: Path, place: Path, error: Exception) -> ArtifactError:
    """What was half made is removed, so its bytes are free again: more than these and the rest are needed."""
    free = _size(place) + shutil.disk_usage(place).free
    before = _size(out) - (_size(place) if place.parent == out else 0)
    needed = f"more than {free:,}" if before <= free else f"about {before:,}, as the content it would replace has,"
    file = getattr(error, "filename", None)
    where = f" while writing {file}" if file and not str(file).startswith(str(place)) else ""
    return ArtifactError(
        f"{out}: no space left on the device of {place.parent}{where}: {needed} bytes are needed, {free:,} bytes are "
        "free; make room there, or choose another --out"
    )


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
