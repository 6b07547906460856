"""`python -m components.train --records DIR --architecture resnet50 --epochs 20 --batch_size 32 --out DIR`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components.common.cli import Input, run_step_command
from components.train.config import TrainConfig


def _train(inputs: dict[str, Any], config: Any, out: Path) -> None:
    from components.train.run import run

    run(config, inputs["records"], out)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point: the exit code."""
    inputs = {"records": Input("records artifact: TFRecord shards and their manifest")}
    return run_step_command("train", "Trains a classifier on TFRecords.", inputs, TrainConfig, _train, argv)


if __name__ == "__main__":
    sys.exit(main())
