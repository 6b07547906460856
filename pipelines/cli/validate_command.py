"""`lesionflow validate`: a finished bundle on another clinic's images, on this machine."""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from components.common.runtime.cli import add_command
from pipelines.cli.bundle_source import add_bundle

_FLAGS = ("bundle", "metadata", "images", "internal")  # parameters that have a flag of their own


def add_parser(commands: argparse._SubParsersAction[Any]) -> None:
    """Adds the command with its flags."""
    command = add_command(
        commands,
        "validate",
        "measure a finished bundle on another clinic's images",
        example="lesionflow validate handover --metadata table.csv --images folder --out validation",
        notes=_notes,
    )
    add_bundle(command)
    command.add_argument(
        "--metadata", required=True, metavar="FILE", help="the clinic's table: one row per image (CSV)"
    )
    command.add_argument(
        "--images", required=True, nargs="+", action="extend", metavar="DIR", help="folders or URIs with its images"
    )
    command.add_argument(
        "--internal", metavar="DIR", help="evaluation of the bundle to compare with; default: what the bundle carries"
    )
    command.add_assignments()
    command.add_argument("--key", type=Path, metavar="FILE", help="public key or certificate that must have signed it")
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the validation")
    command.set_defaults(run=_run)


def _notes() -> str:
    from pipelines.parameter_texts import set_notes
    from pipelines.validation import FORM

    return set_notes({name: field for name, (_, field) in FORM.fields().items() if name not in _FLAGS})


def _run(arguments: argparse.Namespace) -> None:
    from components.common.runtime.session import setup_logging
    from components.common.runtime.yaml_text import parse_assignments
    from pipelines.cli.bundle_source import server_of
    from pipelines.validation import check_local, located, parse

    given = {"bundle": arguments.bundle, "metadata": arguments.metadata, "images": arguments.images}
    given |= {"internal": arguments.internal} if arguments.internal else {}
    parameters = located(parse({**parse_assignments(arguments.set), **given}), server_of(arguments))
    check_local(parameters)
    setup_logging()
    from components.ingest.run import run as ingest
    from components.validate.run import run as validate
    from components.validate.summary import summary_lines

    asked, sources = parameters.validate, parameters.ingest
    with TemporaryDirectory() as scratch:
        index = Path(scratch) / "index"
        ingest(sources, sources.metadata, sources.images, index)
        validate(asked, asked.bundle, index, asked.internal, arguments.out, arguments.key)
    print("\n".join(summary_lines(arguments.out)))
