"""Cores as the container has them: its quota, not the node's number."""

from __future__ import annotations

import math
import os
from pathlib import Path

from components.common.runtime.cgroup import CGROUP, OWN, groups, text


def usable_cores(cgroup: Path = CGROUP, own: Path = OWN) -> int:
    """Cores this process may use, at least one: affinity, and the container's quota rounded up.

    Args:
        cgroup: where control groups are mounted, version 1 or 2.
        own: says in which groups this process is.
    """
    cores = [len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1]
    for folder in groups(cgroup, own, ""):
        quota, _, period = text(folder / "cpu.max").partition(" ")
        cores += _quota(quota, period)
    for folder in groups(cgroup / "cpu", own, "cpu"):
        cores += _quota(text(folder / "cpu.cfs_quota_us"), text(folder / "cpu.cfs_period_us"))
    return max(1, min(cores))


def _quota(quota: str, period: str) -> list[int]:
    if not quota.isdigit() or not period.isdigit():  # "max", -1, or no such controller
        return []
    return [math.ceil(int(quota) / int(period))]
