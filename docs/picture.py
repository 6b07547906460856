"""What the scripts that draw a picture of the pipeline share: their command."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from pipelines.cluster_file import Cluster
from pipelines.compile import compile_pipeline


def write_picture(draw: Callable[[str], str], target: Path, about: str | None) -> int:
    """Writes what `draw` makes of the compiled pipeline to `--out`, by default `target`; returns the exit code."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--out", type=Path, default=target)
    out: Path = parser.parse_args().out
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(draw(compile_pipeline(Cluster())), encoding="utf-8")
    return 0
