"""`python -m components.records --split DIR --record_size 144 --out DIR`, and `... verify DIR`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components.common.runtime.cli import CommandParser, Input, run_step_command
from components.common.runtime.session import exit_code_of, setup_logging
from components.records.config import RecordsConfig


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the records step, or its `verify` command; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["verify"]:
        return _verify(arguments[1:])
    return run_step_command(
        "records",
        "Prepares the images of a split for training and packs them into TFRecord shards. "
        "`python -m components.records verify DIR` checks shards against their manifest.",
        {"split": Input("split artifact made by split")},
        RecordsConfig,
        _body,
        arguments,
    )


def _body(inputs: dict[str, Any], config: RecordsConfig, out: Path) -> None:
    from components.records.run import run

    run(config, inputs["split"], out)


def _verify(argv: Sequence[str]) -> int:
    parser = CommandParser(
        prog="python -m components.records verify",
        description="Checks every byte of a records artifact.",
        example="python -m components.records verify DIR",
    )
    parser.add_argument("records", type=Path, metavar="DIR", help="records artifact")

    def body() -> None:
        path = parser.parse_args(argv).records
        from components.records.verify import verify

        setup_logging()
        verify(path)

    return exit_code_of(body)


if __name__ == "__main__":
    sys.exit(main())
