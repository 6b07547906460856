"""Memory and cores as the container has them: the cgroup's limits, not the node's."""

from __future__ import annotations

import math
import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")
_MEMINFO = Path("/proc/meminfo")
_UNLIMITED = 1 << 60  # cgroup v1 writes a huge number instead of "max"


def available_bytes(cgroup: Path = _CGROUP, own: Path = _OWN, meminfo: Path = _MEMINFO) -> int:
    """Bytes this process may still take: the least that the machine and each limit above it leave.

    File pages that the kernel drops when memory is short do not count as used; records just read would
    otherwise look like a full container.

    Args:
        cgroup: where control groups are mounted, version 1 or 2.
        own: says in which groups this process is.
        meminfo: of the machine.
    """
    left = [_machine_bytes(meminfo)]
    for folder in _groups(cgroup, own, ""):
        left += _left(folder, "memory.max", "memory.current", "inactive_file")
    for folder in _groups(cgroup / "memory", own, "memory"):
        left += _left(folder, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    return max(0, min(left))


def usable_cores(cgroup: Path = _CGROUP, own: Path = _OWN) -> int:
    """Cores this process may use, at least one: affinity, and the container's quota rounded up."""
    cores = [len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1]
    for folder in _groups(cgroup, own, ""):
        quota, _, period = _text(folder / "cpu.max").partition(" ")
        cores += _quota(quota, period)
    for folder in _groups(cgroup / "cpu", own, "cpu"):
        cores += _quota(_text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us"))
    return max(1, min(cores))


def peak_bytes() -> int:
    """Most resident memory of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _groups(root: Path, own: Path, controller: str) -> Iterator[Path]:
    """The folders of this process's groups from `root` down to its own.

    In a container the root is usually the container's own group; a line of `/proc/self/cgroup` that names
    a folder unseen here belongs to the node.
    """
    yield root
    for line in _text(own).splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            folder = root
            for part in Path(path.lstrip("/")).parts:
                folder = folder / part
                yield folder


def _left(folder: Path, limit: str, used: str, droppable: str) -> list[int]:
    most = _number(folder / limit)
    if most is None or most >= _UNLIMITED:
        return []
    stat = dict(line.split() for line in _text(folder / "memory.stat").splitlines())
    return [most - (_number(folder / used) or 0) + int(stat.get(droppable, 0))]


def _quota(quota: str, period: str) -> list[int]:
    if not quota.isdigit() or not period.isdigit():  # "max", -1, or no such controller
        return []
    return [math.ceil(int(quota) / int(period))]


def _machine_bytes(meminfo: Path) -> int:
    for line in _text(meminfo).splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text.isdigit() else None


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
