"""`lesionflow completion`: the shell completes commands, flags, parameters, presets and example clusters."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import Any

from components.common.runtime.cli import CommandParser, add_command
from components.common.runtime.errors import ConfigError

SHELLS = ("bash", "zsh")
_FILES, _FOLDERS = ("FILE", "IMAGE"), ("DIR", "RUN", "BUNDLE", "MODEL")
# bash: names that end with = wait for a value, so no space is put after them
_BASH_END = """
_lesionflow_complete() {
  _shtab_lesionflow
  if [[ ${#COMPREPLY[@]} = 1 && ${COMPREPLY[0]} == *= ]]; then compopt -o nospace; fi
}
complete -o bashdefault -F _lesionflow_complete lesionflow
"""


def add_parser(commands: argparse._SubParsersAction[Any], parser: Callable[[], CommandParser]) -> None:
    """Adds the command."""
    command = add_command(
        commands,
        "completion",
        "print a script with which bash or zsh completes commands, flags and parameters",
        example="lesionflow completion bash",
        notes="bash: write it to ~/.local/share/bash-completion/completions/lesionflow; zsh: as _lesionflow into a\n"
        "folder of $fpath. Then start a new shell.",
    )
    command.add_argument("shell", choices=SHELLS, metavar="SHELL", help="bash or zsh")
    command.set_defaults(run=lambda arguments: print(completion_script(parser(), arguments.shell), end=""))


def completion_script(parser: CommandParser, shell: str) -> str:
    """The script for a shell.

    Raises:
        ConfigError: the package that writes it is not installed.
    """
    try:
        import shtab
    except ModuleNotFoundError as error:
        raise ConfigError("completion: the package shtab is missing; pip install 'lesionflow[completion]'") from error
    words = _known_words()
    for action in _actions(parser):
        kind = str(action.metavar)
        if action.dest in words:
            action.complete = _from_list(action.dest, words[action.dest])  # type: ignore[attr-defined]
        elif kind in _FILES or action.dest in ("image_refs", "pipeline"):
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        elif kind in _FOLDERS:
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
    preamble: Any = {"bash": "\n".join(_function(name, listed) for name, listed in words.items()), "zsh": ""}
    script = str(shtab.complete(parser, shell=shell, preamble=preamble))
    return script.rstrip() + "\n" + (_BASH_END if shell == "bash" else "")


def _known_words() -> dict[str, list[str]]:
    """What may follow a flag or stand for an argument, by its name in the parser."""
    from pipelines.cluster_file import CLUSTERS
    from pipelines.parameters import FLAT, STEP_CONFIGS, option_names, preset_names

    names = [*FLAT, *option_names()]
    return {
        "set": [f"{name}=" for name in names],
        "parameter": [*STEP_CONFIGS, *names],
        "preset": preset_names(),
        "cluster": sorted(path.stem for path in CLUSTERS.glob("*.yaml")),
    }


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from _actions(inner)
        else:
            yield action


def _from_list(name: str, words: list[str]) -> dict[str, str]:
    return {"bash": f"_lesionflow_words_{name}", "zsh": f"({' '.join(words)})"}


def _function(name: str, words: list[str]) -> str:
    """A bash function that prints the words which start with its argument; a file may be meant as well."""
    files = ' compgen -f -- "$1";' if name in ("preset", "cluster") else ""
    return f"_lesionflow_words_{name}() {{ compgen -W '{' '.join(words)}' -- \"$1\";{files} }}"
