"""`python -m components.export --model DIR --policy DIR [--split DIR] --out DIR`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components.common.runtime.cli import Input, run_step_command
from components.export.config import ExportConfig

_INPUTS = {
    "model": Input("model artifact of train"),
    "policy": Input("policy artifact of calibrate"),
    "split": Input("split artifact; its validation images are what the bundle is compared on", required=False),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the step from a command line."""
    description = "Build the serving bundle and check that its predictions are those of the trained model."
    return run_step_command("export", description, _INPUTS, ExportConfig, _body, argv)


def _body(inputs: dict[str, Any], config: ExportConfig, out: Path) -> None:
    from components.export.run import run

    run(config, inputs["model"], inputs["policy"], inputs["split"], out)


if __name__ == "__main__":
    sys.exit(main())
