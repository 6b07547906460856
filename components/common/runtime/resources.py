"""Cores and memory as the container has them: affinity and the limits of its control groups, not the node's numbers."""

from __future__ import annotations

import ctypes
import math
import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")
_MEMINFO = Path("/proc/meminfo")
_UNLIMITED = 1 << 60  # cgroup v1 writes a huge number instead of "max"
_MMAP_THRESHOLD = -3  # M_MMAP_THRESHOLD of glibc's malloc.h
_LARGE = 4 * 2**20


def usable_cores(cgroup: Path = CGROUP, own: Path = OWN) -> int:
    """Cores this process may use, at least one: affinity, and the container's quota rounded up.

    Args:
        cgroup: where control groups are mounted, version 1 or 2.
        own: says in which groups this process is.
    """
    cores = [len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1]
    for folder in _groups(cgroup, own, ""):
        quota, _, period = _text(folder / "cpu.max").partition(" ")
        cores += _quota(quota, period)
    for folder in _groups(cgroup / "cpu", own, "cpu"):
        cores += _quota(_text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us"))
    return max(1, min(cores))


def available_bytes(cgroup: Path = CGROUP, own: Path = OWN, meminfo: Path = _MEMINFO) -> int:
    """Bytes this process may still take: the least that the machine and each limit above it leave.

    File pages that the kernel drops when memory is short do not count as used; records just read would
    otherwise look like a full container.
    """
    left = [_machine_bytes(meminfo)]
    for folder in _groups(cgroup, own, ""):
        left += _left(folder, "memory.max", "memory.current", "inactive_file")
    for folder in _groups(cgroup / "memory", own, "memory"):
        left += _left(folder, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    return max(0, min(left))


def peak_bytes() -> int:
    """Most resident memory of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def return_large_blocks() -> None:
    """From here on the C library returns blocks of 4 MiB and more as soon as they are freed.

    Left alone, glibc raises that size to 32 MiB as it goes and keeps smaller blocks for the thread that freed them:
    with many threads hundreds of megabytes of decoded images that are gone. Other C libraries are left as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGE)


def _groups(root: Path, own: Path, controller: str) -> Iterator[Path]:
    """The folders of this process's groups from `root` down to its own.

    In a container the root is usually the container's own group; a line of `/proc/self/cgroup` that names
    a folder unseen here belongs to the node.

    Args:
        root: where the groups of this controller are mounted.
        own: says in which groups this process is.
        controller: its name in version 1, empty for version 2.
    """
    yield root
    for line in _text(own).splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            folder = root
            for part in Path(path.lstrip("/")).parts:
                folder = folder / part
                yield folder


def _text(path: Path) -> str:
    """What a file says, without the line's end; empty where there is none to read."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _quota(quota: str, period: str) -> list[int]:
    if not quota.isdigit() or not period.isdigit():  # "max", -1, or no such controller
        return []
    return [math.ceil(int(quota) / int(period))]


def _left(folder: Path, limit: str, used: str, droppable: str) -> list[int]:
    most = _number(folder / limit)
    if most is None or most >= _UNLIMITED:
        return []
    stat = dict(line.split() for line in _text(folder / "memory.stat").splitlines())
    return [most - (_number(folder / used) or 0) + int(stat.get(droppable, 0))]


def _machine_bytes(meminfo: Path) -> int:
    for line in _text(meminfo).splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    # no /proc, as on macOS, which does not count free pages either: all there are
    free = "SC_AVPHYS_PAGES" if "SC_AVPHYS_PAGES" in os.sysconf_names else "SC_PHYS_PAGES"
    return os.sysconf(free) * os.sysconf("SC_PAGE_SIZE")


def _number(path: Path) -> int | None:
    found = _text(path)
    return int(found) if found.isdigit() else None
