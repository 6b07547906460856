"""`python -m components.validate --bundle URI --index DIR --out DIR`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components.common.runtime.cli import Input, run_step_command
from components.validate.config import ValidateConfig, ValidateSources


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the step from a command line; returns the exit code."""
    inputs = {
        "bundle": Input.of(ValidateSources.model_fields["bundle"]),
        "index": Input("index artifact of the clinic's images, of ingest with --unlabelled keep"),
        "internal": Input(ValidateSources.model_fields["internal"].description or "", required=False, uri=True),
    }
    description = "Measure a finished bundle on another clinic's images, beside what its internal test showed."
    return run_step_command("validate", description, inputs, ValidateConfig, _body, argv)


def _body(inputs: dict[str, Any], config: ValidateConfig, out: Path) -> None:
    from components.validate.run import run
    from components.validate.summary import summary_lines

    result = run(config, inputs["bundle"], inputs["index"], inputs["internal"] or "", out)
    sys.stdout.write("\n".join(summary_lines(result.path)) + "\n")


if __name__ == "__main__":
    sys.exit(main())
