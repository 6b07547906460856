"""`python -m components.monitor --bundle URI --predictions URI... --out DIR`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components.common.runtime.cli import Input, run_step_command
from components.monitor.config import MonitorConfig, MonitorSources


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the step from a command line; returns the exit code."""
    fields = MonitorSources.model_fields
    inputs = {name: Input.of(fields[name]) for name in ("bundle", "predictions")}
    inputs |= {
        name: Input(fields[name].description or "", required=False, uri=True) for name in ("labels", "reference")
    }
    description = "Watch the logged predictions of a bundle in use; exit code 3 where a change was found."
    return run_step_command("monitor", description, inputs, MonitorConfig, _body, argv)


def _body(inputs: dict[str, Any], config: MonitorConfig, out: Path) -> None:
    from components.monitor.alarm import PAGE, raise_alarm
    from components.monitor.run import run

    optional = {name: inputs[name] or "" for name in ("labels", "reference")}
    result = run(config, inputs["bundle"], inputs["predictions"], out, **optional)
    sys.stdout.write("\n".join(result.lines) + "\n")
    raise_alarm(out, str(out / PAGE))


if __name__ == "__main__":
    sys.exit(main())
