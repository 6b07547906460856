"""The control groups a process is in, versions 1 and 2: where a container's limits stand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")


def groups(root: Path, own: Path, controller: str) -> Iterator[Path]:
    """The folders of this process's groups from `root` down to its own.

    In a container the root is usually the container's own group; a line of `/proc/self/cgroup` that names
    a folder unseen here belongs to the node.

    Args:
        root: where the groups of this controller are mounted.
        own: says in which groups this process is.
        controller: its name in version 1, empty for version 2.
    """
    yield root
    for line in text(own).splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            folder = root
            for part in Path(path.lstrip("/")).parts:
                folder = folder / part
                yield folder


def text(path: Path) -> str:
    """What a file says, without the line's end; empty where there is none to read."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""
