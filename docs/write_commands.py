"""Writes docs/reference/command-line.md from the parser of `lesionflow`; `--check` compares it with the parser.

Run it after a change to a command: `python docs/write_commands.py`.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator

from reference_page import write_page

from pipelines.cli.main import build_parser

_HEAD = """# Command line

<!-- Written by `python docs/write_commands.py`, from the parser of the command; `make check` compares. -->

`lesionflow COMMAND --help` says the same with examples. Exit codes: 0 success; 1 a failed step or check; 2 a wrong
argument or parameter; 3 a change that `monitor` has found; 75 a training that was told to stop and has saved; 130 a run
that was stopped. Each step is a command of its own as well: `python -m components.STEP --help`.

"""


def leaves(
    parser: argparse.ArgumentParser, name: str, about: str
) -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    """Name, summary and parser of every command that does something."""
    groups = [one for one in parser._actions if isinstance(one, argparse._SubParsersAction)]
    if not groups:
        yield name, about, parser
    for group in groups:
        summaries = {one.dest: one.help or "" for one in group._choices_actions}
        for word, inner in group.choices.items():
            yield from leaves(inner, f"{name} {word}", summaries.get(word, ""))


def written(action: argparse.Action) -> str:
    """An argument as a person types it: `--out DIR`, `IMAGE...`."""
    value = str(action.metavar or "|".join(action.choices or ()) or action.dest.upper()) if action.nargs != 0 else ""
    value += "..." if action.nargs == "+" else ""
    return " ".join(part for part in (*action.option_strings[:1], value) if part)


def cell(text: str) -> str:
    """Text in a cell of a table."""
    return text.replace("|", "\\|")


def page() -> str:
    """The page."""
    commands, options = [], defaultdict(list)
    for name, about, parser in leaves(build_parser(), "lesionflow", ""):
        shown = [one for one in parser._actions if one.help != argparse.SUPPRESS and one.dest != "help"]
        typed = [written(one) for one in shown if one.required]
        commands.append(f"| `{cell(' '.join([name, *typed]))}` | {cell(about)} |")
        for one in shown:
            options[written(one), (one.help or "").replace("%%", "%")].append(name.removeprefix("lesionflow "))
    rows = [
        f"| `{cell(option)}` | {cell(about)} | {', '.join(takers)} |"
        for (option, about), takers in sorted(options.items(), key=lambda one: (one[0][0].lstrip("-").lower(), one[1]))
    ]
    head = "| command, with what it always needs | what it does |\n|---|---|\n"
    arguments = "\n\n## Arguments\n\n| argument | what | commands |\n|---|---|---|\n"
    return _HEAD + head + "\n".join(commands) + arguments + "\n".join(rows) + "\n"


if __name__ == "__main__":
    raise SystemExit(write_page(page(), "command-line.md", __doc__))
