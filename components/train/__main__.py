"""`python -m components.train --records DIR --architecture resnet50 --epochs 20 --batch_size 32 --out DIR`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components.common.runtime.cli import Input, run_step_command
from components.train.config import TrainConfig


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the step; returns the exit code: 0, 1 failed, 2 bad parameter, 75 stopped by SIGTERM (run it again)."""
    inputs = {"records": Input("records artifact: TFRecord shards and manifest.json")}
    description = "Train a malignant-or-benign classifier on prepared records."
    return run_step_command("train", description, inputs, TrainConfig, _body, argv)


def _body(inputs: dict[str, Any], config: TrainConfig, out: Path) -> None:
    from components.train.run import run

    run(config, inputs["records"], out)


if __name__ == "__main__":
    sys.exit(main())
