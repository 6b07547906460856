"""`python -m components.split --index DIR --recipe reference --out DIR`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components.common.runtime.cli import Input, run_step_command
from components.split.config import SplitConfig


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the split step as a command; returns its exit code."""
    return run_step_command(
        "split",
        "Divides the images of an index into train, val and test, whole groups at a time.",
        {"index": Input("index artifact made by ingest")},
        SplitConfig,
        _body,
        argv,
    )


def _body(inputs: dict[str, Any], config: SplitConfig, out: Path) -> None:
    from components.split.run import run

    run(config, inputs["index"], out)


if __name__ == "__main__":
    sys.exit(main())
