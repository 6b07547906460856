"""The `lesionflow` command."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from components.common.runtime.errors import ConfigError
from components.common.runtime.session import exit_code_of
from pipelines.cli import model_commands
from pipelines.cluster import add_parsers
from pipelines.cluster.compiled import add_cluster_flags


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; see {self.prog} --help")


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point: 0 on success, 1 when a step or check failed, 2 for a bad parameter."""
    # a bundle is asked on the CPU here: what TensorFlow says about absent GPUs would bury the answer
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

    def body() -> None:
        arguments = build_parser().parse_args(argv)
        arguments.run(arguments)

    return exit_code_of(body)


def build_parser() -> argparse.ArgumentParser:
    """All commands with their flags."""
    parser = _Parser(prog="lesionflow", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=_Parser)
    _add_sample(commands)
    _add_run(commands)
    _add_compile(commands)
    model_commands.add_parsers(commands)
    add_parsers(commands)
    return parser


def _add_sample(commands: argparse._SubParsersAction[_Parser]) -> None:
    command = commands.add_parser("sample", help="generate images and a table to try the pipeline on")
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for images/ and metadata.csv")
    command.add_argument("--lesions", type=int, default=1500, metavar="N", help="lesions; about 1.3 images each")
    command.add_argument("--seed", type=int, default=7, metavar="S", help="equal seeds give equal files")
    command.add_argument("--faults", action="store_true", help="plant one of each known fault in the data")
    command.set_defaults(run=_sample)


def _add_run(commands: argparse._SubParsersAction[_Parser]) -> None:
    command = commands.add_parser("run", help="run the whole pipeline on this machine")
    command.add_argument("--metadata", metavar="FILE", help="the table: one row per image (CSV)")
    command.add_argument("--images", action="append", metavar="DIR", help="folder or URI with images; may be repeated")
    command.add_argument("--weights", metavar="FILE", help="pretrained weights of the architecture")
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for results")
    _add_parameter_flags(command)
    command.set_defaults(run=_run)


def _add_compile(commands: argparse._SubParsersAction[_Parser]) -> None:
    command = commands.add_parser("compile", help="write the pipeline YAML for the Kubeflow UI")
    command.add_argument("--out", type=Path, required=True, metavar="FILE", help="the YAML file to write")
    add_cluster_flags(command)
    command.add_argument("--preset", metavar="NAME", help="parameter defaults: a preset or a YAML file")
    command.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="one parameter default")
    command.add_argument("--allow-mutable-tags", action="store_true", help="take image tags that can change")
    command.set_defaults(run=_compile)


def _add_parameter_flags(command: argparse.ArgumentParser) -> None:
    command.add_argument("--config", metavar="FILE", help="preset: a name such as ham10000-cpu, or a YAML file")
    command.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="one parameter; repeatable")


def _sample(arguments: argparse.Namespace) -> None:
    from pipelines.sample.generate import make_sample

    if arguments.lesions < 1:
        raise ConfigError(f"--lesions: received {arguments.lesions}; allowed: a whole number >= 1")
    result = make_sample(arguments.out, arguments.lesions, arguments.seed, faults=arguments.faults)
    print(f"{result.images} images of {arguments.lesions} lesions in {arguments.out}")


def _run(arguments: argparse.Namespace) -> None:
    from rich.console import Console

    from pipelines.local.run import check_out, run_locally
    from pipelines.parameters import load_preset, merge, parse_assignments, resolve_paths, validate

    preset = load_preset(arguments.config) if arguments.config else {}
    given = {"metadata": arguments.metadata, "images": arguments.images, "weights": arguments.weights}
    flags = {name: value for name, value in given.items() if value is not None}
    parameters, _ = validate(merge(preset, parse_assignments(arguments.set), flags))
    parameters = resolve_paths(parameters)
    check_out(arguments.out)
    run_locally(parameters, arguments.out.resolve(), Console())


def _compile(arguments: argparse.Namespace) -> None:
    from pipelines.cluster_file import load_cluster
    from pipelines.compile import write_pipeline
    from pipelines.parameters import load_preset, merge, parse_assignments, validate

    cluster = load_cluster(arguments.cluster, arguments.container_images)
    cluster.check_images(allow_mutable_tags=arguments.allow_mutable_tags)
    preset = load_preset(arguments.preset) if arguments.preset else {}
    defaults = merge(preset, parse_assignments(arguments.set))
    validate({"metadata": "gs://bucket/table.csv", "images": ["gs://bucket/images"], **defaults})
    write_pipeline(arguments.out, cluster, {name: value for name, value in defaults.items() if value != {}})
    print(f"wrote {arguments.out}; upload it in the Kubeflow UI under Pipelines")


if __name__ == "__main__":
    sys.exit(main())
