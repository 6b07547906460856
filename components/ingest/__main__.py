"""`python -m components.ingest --metadata FILE --images ROOT... --out DIR`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components.common.runtime.cli import Input, run_step_command
from components.ingest.config import IngestConfig, IngestSources


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the ingest step as a command; returns its exit code."""
    return run_step_command(
        "ingest",
        "Checks every image a table names and writes an index with a verdict on each.",
        {
            "metadata": Input.of(IngestSources.model_fields["metadata"]),
            "images": Input.of(IngestSources.model_fields["images"]),
        },
        IngestConfig,
        _body,
        argv,
    )


def _body(inputs: dict[str, Any], config: IngestConfig, out: Path) -> None:
    from components.ingest.run import run

    run(config, inputs["metadata"], inputs["images"], out)


if __name__ == "__main__":
    sys.exit(main())
