"""Memory as the container has it: the cgroup's limits, not the node's."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

from components.common.runtime.cgroup import CGROUP, OWN, groups, text

_MEMINFO = Path("/proc/meminfo")
_UNLIMITED = 1 << 60  # cgroup v1 writes a huge number instead of "max"


def available_bytes(cgroup: Path = CGROUP, own: Path = OWN, meminfo: Path = _MEMINFO) -> int:
    """Bytes this process may still take: the least that the machine and each limit above it leave.

    File pages that the kernel drops when memory is short do not count as used; records just read would
    otherwise look like a full container.

    Args:
        cgroup: where control groups are mounted, version 1 or 2.
        own: says in which groups this process is.
        meminfo: of the machine.
    """
    left = [_machine_bytes(meminfo)]
    for folder in groups(cgroup, own, ""):
        left += _left(folder, "memory.max", "memory.current", "inactive_file")
    for folder in groups(cgroup / "memory", own, "memory"):
        left += _left(folder, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    return max(0, min(left))


def peak_bytes() -> int:
    """Most resident memory of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _left(folder: Path, limit: str, used: str, droppable: str) -> list[int]:
    most = _number(folder / limit)
    if most is None or most >= _UNLIMITED:
        return []
    stat = dict(line.split() for line in text(folder / "memory.stat").splitlines())
    return [most - (_number(folder / used) or 0) + int(stat.get(droppable, 0))]


def _machine_bytes(meminfo: Path) -> int:
    for line in text(meminfo).splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _number(path: Path) -> int | None:
    found = text(path)
    return int(found) if found.isdigit() else None
