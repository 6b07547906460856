"""Memory as the container has it: the cgroup's limit, not the node's."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_UNLIMITED = 1 << 60  # cgroup v1 writes a huge number instead of "max"


def available_bytes(cgroup: Path = _CGROUP) -> int:
    """Bytes this process may still take: the least of the container's limit and the machine, minus what is used."""
    machine = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    left = [machine]
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        most = _number(cgroup / limit)
        if most is not None and most < _UNLIMITED:
            left.append(most - (_number(cgroup / used) or 0))
    return max(0, min(left))


def peak_bytes() -> int:
    """Most resident memory of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # no such controller, or "max"
        return None
