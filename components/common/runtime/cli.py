"""The command line of a single step, derived from its config model.

`python -m components.split --index DIR --recipe reference --out DIR`: the artifacts a step reads are
named by flags of their own, every field of the config is a flag with its description and default.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from components.common.runtime.config import StepConfig, allowed
from components.common.runtime.errors import ConfigError
from components.common.runtime.session import exit_code_of, step_session


@dataclass(frozen=True)
class Input:
    """One input flag of a step: `--records DIR`.

    Attributes:
        help: what it is, for `--help`.
        many: the flag takes one or more values.
        required: whether it may be left out.
        uri: the value is a URI or path kept as text; otherwise it becomes a `Path`.
    """

    help: str
    many: bool = False
    required: bool = True
    uri: bool = False


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; see {self.prog} --help")


def run_step_command(
    name: str,
    description: str,
    inputs: Mapping[str, Input],
    config: type[StepConfig],
    body: Callable[[dict[str, Any], Any, Path], None],
    argv: Sequence[str] | None = None,
) -> int:
    """Parses `argv`, validates the config before anything is touched, and runs the step.

    Args:
        name: the step, as in `python -m components.<name>`.
        description: first lines of `--help`.
        inputs: input flags by name.
        config: the step's parameters.
        body: called with the inputs by name, the parsed config and the `--out` folder.
        argv: arguments; the process's own by default.

    Returns:
        The exit code: 0, 1 for a failed step, 2 for a bad parameter.
    """

    def run() -> None:
        values, settings, out = _parse(_parser(name, description, inputs, config), inputs, config, argv)
        with step_session(name):
            body(values, settings, out)

    return exit_code_of(run)


def _parser(name: str, description: str, inputs: Mapping[str, Input], config: type[StepConfig]) -> _Parser:
    parser = _Parser(prog=f"python -m components.{name}", description=description, allow_abbrev=False)
    for flag, spec in inputs.items():
        parser.add_argument(
            f"--{flag}", help=spec.help, required=spec.required, nargs="+" if spec.many else None,
            action="extend" if spec.many else "store",  # a flag given twice adds to the first
            type=str if spec.uri else Path, metavar="URI" if spec.uri else "DIR", default=None,
        )  # fmt: skip
    parser.add_argument("--out", help="folder the artifact is written to", required=True, type=Path, metavar="DIR")
    group = parser.add_argument_group("parameters")
    for key, field in config.model_fields.items():
        many = str(field.annotation).startswith(("list", "tuple"))
        group.add_argument(
            f"--{key}", *([f"--{key.replace('_', '-')}"] if "_" in key else []), dest=key, default=None,
            nargs="*" if many else None, action="extend" if many else "store", metavar="VALUE",
            help=f"{field.description or ''} ({allowed(field)}; default {field.get_default()})".replace("%", "%%"),
        )  # fmt: skip
    return parser


def _parse(
    parser: _Parser, inputs: Mapping[str, Input], config: type[StepConfig], argv: Sequence[str] | None
) -> tuple[dict[str, Any], StepConfig, Path]:
    known = vars(parser.parse_args(argv))
    given = {key: known[key] for key in config.model_fields if known[key] is not None}
    return {flag: known[flag.replace("-", "_")] for flag in inputs}, config.parse(given), known["out"]
