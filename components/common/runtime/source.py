"""Which version of this code is running: from git, or from the variable that an image sets."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

COMMIT_VARIABLE = "LESIONFLOW_COMMIT"
ROOT = Path(__file__).resolve().parents[3]


def source_version(root: Path = ROOT) -> tuple[str | None, bool | None]:
    """Commit and dirty flag of the source: from git, or from the variable that an image sets; else unknown."""
    if (root / ".git").exists():
        try:
            commit = _git(root, "rev-parse", "HEAD")
            return commit, bool(_git(root, "status", "--porcelain", "--untracked-files=no"))
        except (OSError, subprocess.SubprocessError):
            pass
    commit = os.environ.get(COMMIT_VARIABLE, "")
    return (commit.removesuffix("-dirty") or None, commit.endswith("-dirty") if commit else None)


def commit_text() -> str:
    """The commit, `-dirty` behind it where files differ from it; `unknown` where nothing says it."""
    commit, dirty = source_version()
    return "unknown" if commit is None else f"{commit}-dirty" if dirty else commit


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.strip()
