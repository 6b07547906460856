"""The one command-line parser, and the command line of a single step, derived from its config model.

`python -m components.split --index DIR --recipe reference --out DIR`: the artifacts a step reads are
named by flags of their own, every field of the config is a flag with its description and default.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from components.common.runtime.config import StepConfig, allowed, nearest, one_of
from components.common.runtime.errors import ConfigError
from components.common.runtime.session import exit_code_of, step_session


class CommandParser(argparse.ArgumentParser):
    """The parser of every command: mistakes are a `ConfigError`, flags are never abbreviated, examples keep lines."""

    def __init__(self, *, example: str = "", notes: str | Callable[[], str] = "", **settings: Any) -> None:
        """A parser.

        Args:
            example: command lines that show the command at work, for the end of `--help`.
            notes: further text behind the example, kept as it is; a function is called when help is asked for.
            settings: as for `argparse.ArgumentParser`; a summary given as `help` becomes the description as well.
        """
        self._example, self._notes = example, notes
        settings.setdefault("allow_abbrev", False)
        settings.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(**settings)

    def error(self, message: str) -> NoReturn:
        """Raises what argparse would print.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(f"{message}; see {self.prog} --help")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """As argparse does it, but the parser that knows the flags names those it does not know.

        Raises:
            ConfigError: an argument that this command does not take, with the flag that was probably meant.
        """
        known, extra = super().parse_known_args(args, namespace)
        if extra:
            flags = [flag for flag, action in self._option_string_actions.items() if action.help != argparse.SUPPRESS]
            near = nearest(extra[0].partition("=")[0], flags) if extra[0].startswith("-") else ""
            hint = f"; did you mean {near}?" if near else ""
            self.error(f"unrecognized arguments: {' '.join(extra)}{hint}")
        return known, extra

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Names the word that was probably meant, also for a command."""
        if action.choices is not None and value not in action.choices:
            what = action.option_strings[0] if action.option_strings else str(action.metavar)
            groups = action.choices.items() if isinstance(action, argparse._SubParsersAction) else ()
            meant = [f"{one.prog} {value}" for _, one in groups if value in one.subcommands()]
            hint = f"did you mean {' or '.join(meant)}? " if meant else ""
            self.error(f"{what}: received {value!r}; {hint}{one_of(str(value), map(str, action.choices))}")

    def subcommands(self) -> list[str]:
        """The names of the commands below this one."""
        found = [one for one in self._actions if isinstance(one, argparse._SubParsersAction)]
        return [name for one in found for name in one.choices]

    def format_help(self) -> str:
        """The help text: usage, what the command does, flags, example, notes."""
        shown = "\n".join(f"  {line.strip()}" for line in self._example.strip().splitlines())
        notes = self._notes() if callable(self._notes) else self._notes
        self.epilog = "\n\n".join(part for part in (f"example:\n{shown}" if shown else "", notes.rstrip()) if part)
        return super().format_help()

    def add_assignments(self, flag: str = "--set", *, help: str = "one parameter; may be repeated") -> None:
        """Adds a flag whose values `yaml_text.parse_assignments` reads."""
        self.add_argument(flag, action="append", default=[], metavar="NAME=VALUE", help=help)

    def add_old_name(self, old: str, new: str, *, dest: str | None = None) -> None:
        """Takes the flag `old` for `new` for one more version, with a warning, and keeps it out of the help."""
        flags = self._option_string_actions
        action = flags[new]
        self.add_argument(
            old,
            action=_OldName,
            dest=dest or action.dest,
            nargs=action.nargs,
            type=action.type or str,
            default=argparse.SUPPRESS,
            help=argparse.SUPPRESS,
            metavar=new,
        )


class _OldName(argparse.Action):
    """Stores what a flag is given under an earlier name, and names the one that counts."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        warn_old_name(str(option_string), str(self.metavar))
        setattr(namespace, self.dest, values)


def add_command(
    commands: argparse._SubParsersAction[Any],
    name: str,
    summary: str,
    *,
    example: str,
    notes: str | Callable[[], str] = "",
) -> CommandParser:
    """Adds a command whose one-line summary is also the first line of its own help.

    Args:
        commands: the subparsers of a `CommandParser`.
        name: the command.
        summary: what it does, starting with a verb in lower case and without a full stop.
        example: command lines that show it at work.
        notes: further text for its help.
    """
    about = f"{summary[0].upper()}{summary[1:]}."
    made: CommandParser = commands.add_parser(name, help=summary, description=about, example=example, notes=notes)
    return made


def warn_old_name(old: str, new: str) -> None:
    """Says on stderr that a name of an earlier version is going."""
    sys.stderr.write(f"warning: {old} is deprecated and will be removed in the next version; use {new}\n")


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

    @classmethod
    def of(cls, field: FieldInfo) -> Input:
        """The input that a field of a model describes: a URI, or several where the field is a list."""
        return cls(field.description or "", many=str(field.annotation).startswith("list"), uri=True)


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
        with step_session(name, of_command=True):
            body(values, settings, out)

    return exit_code_of(run)


def _parser(name: str, description: str, inputs: Mapping[str, Input], config: type[StepConfig]) -> CommandParser:
    needed = " ".join(
        f"--{flag} {'URI' if spec.uri else 'DIR'}{'...' if spec.many else ''}"
        for flag, spec in inputs.items()
        if spec.required
    )
    example = f"python -m components.{name} {needed} --out DIR"
    parser = CommandParser(prog=f"python -m components.{name}", description=description, example=example)
    for flag, spec in inputs.items():
        parser.add_argument(
            f"--{flag}",
            help=_percent(spec.help),
            required=spec.required,
            nargs="+" if spec.many else None,
            action="extend" if spec.many else "store",  # a flag given twice adds to the first
            type=str if spec.uri else Path,
            metavar="URI" if spec.uri else "DIR",
            default=None,
        )
    parser.add_argument("--out", help="folder the artifact is written to", required=True, type=Path, metavar="DIR")
    group = parser.add_argument_group("parameters")
    for key, field in config.model_fields.items():
        many = str(field.annotation).startswith(("list", "tuple"))
        group.add_argument(
            f"--{key}",
            *([f"--{key.replace('_', '-')}"] if "_" in key else []),
            dest=key,
            default=None,
            nargs="*" if many else None,
            action="extend" if many else "store",
            metavar="VALUE",
            help=_percent(field_help(field)),
        )
    return parser


def field_help(field: FieldInfo) -> str:
    """What a field is, what it takes and its default, on one line."""
    takes = "" if (words := allowed(field)) == "text" else words
    default = "required" if field.is_required() else f"default {default_text(field)}"
    return f"{described(field)} ({'; '.join(part for part in (takes, default) if part)})"


def described(field: FieldInfo) -> str:
    """A field's description with its examples, `such as` in front."""
    examples = [one if isinstance(one, str) else json.dumps(one) for one in field.examples or ()]
    return (field.description or "") + (f", such as {' or '.join(examples)}" if examples else "")


def default_text(field: FieldInfo) -> str:
    """A field's default as a person would write it."""
    return value_text(field.get_default(call_default_factory=True))


def value_text(value: Any) -> str:
    """A value as a person would write it: `empty` for an empty text, list, mapping or null."""
    value = to_jsonable_python(value)
    if value is None or value in ("", [], {}):
        return "empty"
    return value if isinstance(value, str) else json.dumps(value)


def _percent(text: str) -> str:
    return text.replace("%", "%%")  # argparse formats help texts


def _parse(
    parser: CommandParser, inputs: Mapping[str, Input], config: type[StepConfig], argv: Sequence[str] | None
) -> tuple[dict[str, Any], StepConfig, Path]:
    known = vars(parser.parse_args(argv))
    given = {key: known[key] for key in config.model_fields if known[key] is not None}
    return {flag: known[flag.replace("-", "_")] for flag in inputs}, config.parse(given), known["out"]
