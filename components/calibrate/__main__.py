"""`python -m components.calibrate --model DIR --out DIR`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components.calibrate.config import CalibrateConfig
from components.common.runtime.cli import Input, run_step_command


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the step; returns the exit code."""
    inputs = {"model": Input("model artifact, with val_probs.npz")}
    description = "Calibrate a model on its validation scores and choose the decision threshold."
    return run_step_command("calibrate", description, inputs, CalibrateConfig, _body, argv)


def _body(inputs: dict[str, Any], config: CalibrateConfig, out: Path) -> None:
    from components.calibrate.run import run

    run(config, inputs["model"], out)


if __name__ == "__main__":
    sys.exit(main())
