"""The `lesionflow` command."""

from __future__ import annotations

import argparse
import os
import sys
import textwrap
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from components.common.runtime.cli import CommandParser, add_command
from components.common.runtime.errors import ConfigError
from components.common.runtime.session import exit_code_of
from components.common.runtime.yaml_text import parse_assignments
from pipelines.cli import compare, completion, model_commands, search_command, site_commands, validate_command, weights
from pipelines.cluster import add_parsers
from pipelines.cluster.compiled import add_cluster_flags, add_kind_flag, add_parameter_flags


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point: 0 on success, 1 when a step or check failed, 2 for a bad parameter."""
    # a bundle is asked on the CPU here: what TensorFlow says about absent GPUs would bury the answer
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

    def body() -> None:
        parser = build_parser()
        arguments = parser.parse_args(argv)
        if "run" in arguments:
            arguments.run(arguments)
        else:
            parser.print_help()

    return exit_code_of(body)


def build_parser() -> CommandParser:
    """All commands with their flags."""
    parser = CommandParser(
        prog="lesionflow",
        description="From dermoscopic images and a table to a calibrated, audited benign/malignant classifier.",
        example="lesionflow sample --out data\nlesionflow run --preset sample --metadata data/metadata.csv "
        "--images data/images --out results",
    )
    parser.add_argument("--version", action="version", version=f"lesionflow {metadata.version('lesionflow')}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=CommandParser)
    _add_sample(commands)
    _add_run(commands)
    _add_compile(commands)
    _add_parameters(commands)
    _add_presets(commands)
    weights.add_parser(commands)
    compare.add_parser(commands)
    model_commands.add_parsers(commands)
    search_command.add_parser(commands)
    validate_command.add_parser(commands)
    site_commands.add_parsers(commands)
    add_parsers(commands)
    completion.add_parser(commands, build_parser)
    return parser


def _add_sample(commands: argparse._SubParsersAction[Any]) -> None:
    command = add_command(
        commands,
        "sample",
        "generate images and a table to try the pipeline on",
        example="lesionflow sample --out data --lesions 1500",
    )
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for images/ and metadata.csv")
    command.add_argument("--lesions", type=int, default=1500, metavar="N", help="lesions; about 1.3 images each")
    command.add_argument("--seed", type=int, default=7, metavar="S", help="equal seeds give equal files")
    command.add_argument("--faults", action="store_true", help="plant one of each known fault in the data")
    command.set_defaults(run=_sample)


def _add_run(commands: argparse._SubParsersAction[Any]) -> None:
    command = add_command(
        commands,
        "run",
        "run the whole pipeline on this machine",
        example="lesionflow run --preset ham10000-cpu --metadata table.csv --images part_1 part_2 --out results "
        "--set epochs=12 --set calibrate.delta=0.1",
        notes=_parameter_notes,
    )
    command.add_argument("--metadata", metavar="FILE", help="the table: one row per image (CSV)")
    command.add_argument(
        "--images", nargs="+", action="extend", metavar="DIR", help="folders or URIs with images, one or more"
    )
    command.add_argument("--weights", metavar="FILE", help="pretrained weights of the architecture")
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for results")
    command.add_argument(
        "--fresh", action="store_true", help="run every step; without it those an earlier run finished are reused"
    )
    add_parameter_flags(command)
    command.add_old_name("--config", "--preset")
    command.set_defaults(run=_run)


def _add_compile(commands: argparse._SubParsersAction[Any]) -> None:
    command = add_command(
        commands,
        "compile",
        "write the pipeline YAML for the Kubeflow UI",
        example="lesionflow compile --cluster cluster.yaml --image-refs out/images.yaml --out lesionflow.yaml",
    )
    command.add_argument("--out", type=Path, required=True, metavar="FILE", help="the YAML file to write")
    add_kind_flag(command)
    add_cluster_flags(command)
    add_parameter_flags(command)
    command.set_defaults(run=_compile)


def _add_parameters(commands: argparse._SubParsersAction[Any]) -> None:
    command = add_command(
        commands,
        "parameters",
        "list the parameters of a run, or describe one",
        example="lesionflow parameters\nlesionflow parameters calibrate.delta",
    )
    command.add_argument("parameter", nargs="?", metavar="NAME", help="a parameter, or a step such as train")
    command.set_defaults(run=_parameters)


def _add_presets(commands: argparse._SubParsersAction[Any]) -> None:
    command = add_command(commands, "presets", "list the presets and what each is for", example="lesionflow presets")
    command.set_defaults(run=_presets)


def _parameter_notes() -> str:
    from pipelines.parameter_texts import entry, flat_texts

    head = "parameters (--set NAME=VALUE); lesionflow parameters lists the options of each step as well:"
    return "\n".join([head, *(entry(text.name, text.line, 2) for text in flat_texts())])


def _sample(arguments: argparse.Namespace) -> None:
    from pipelines.sample.generate import make_sample

    if arguments.lesions < 1:
        raise ConfigError(f"--lesions: received {arguments.lesions}; allowed: an integer >= 1")
    result = make_sample(arguments.out, arguments.lesions, arguments.seed, faults=arguments.faults)
    print(f"{result.images} images of {arguments.lesions} lesions in {arguments.out}")


def _run(arguments: argparse.Namespace) -> None:
    from rich.console import Console

    from pipelines.local.paths import resolve_paths
    from pipelines.local.run import run_locally
    from pipelines.local.workspace import check_out
    from pipelines.parameters import validate

    given = {"metadata": arguments.metadata, "images": arguments.images, "weights": arguments.weights}
    values = _given(arguments, given)
    if absent := [f"--{name}" for name in ("metadata", "images") if not values.get(name)]:
        raise ConfigError(
            f"{' and '.join(absent)}: missing; give the table and the folders of its images (lesionflow sample --out "
            "data makes some to try)"
        )
    parameters = resolve_paths(validate(values))
    check_out(arguments.out)
    run_locally(parameters, arguments.out.resolve(), Console(), fresh=arguments.fresh)


def _given(arguments: argparse.Namespace, flags: dict[str, Any] | None = None) -> dict[str, Any]:
    """The parameters of preset, `--set` and flags of their own, laid over each other in this order."""
    from pipelines.parameters import load_preset, merge

    preset = load_preset(arguments.preset) if arguments.preset else {}
    own = {name: value for name, value in (flags or {}).items() if value is not None}
    return merge(preset, parse_assignments(arguments.set), own)


def _compile(arguments: argparse.Namespace) -> None:
    from pipelines.cluster.compiled import PLACEHOLDER_REFS, cluster_of, form_pipeline, warn_of_deadline
    from pipelines.compile import write_pipeline
    from pipelines.parameters import member_count, validate

    cluster = cluster_of(arguments, to_look_at=True)
    if (other := form_pipeline(arguments)) is not None:
        other.write(arguments.out, cluster, parse_assignments(arguments.set))
    else:
        defaults = _given(arguments)
        typed = validate({"metadata": "gs://bucket/table.csv", "images": ["gs://bucket/images"], **defaults}).values
        warn_of_deadline(cluster, member_count(typed))
        write_pipeline(arguments.out, cluster, {name: typed[name] for name in defaults})
    if arguments.image_refs == PLACEHOLDER_REFS:
        print(f"wrote {arguments.out}, to look at: it names images that nobody has pushed")
    else:
        print(f"wrote {arguments.out}; upload it in the Kubeflow UI under Pipelines")


def _parameters(arguments: argparse.Namespace) -> None:
    from pipelines.parameter_texts import described_parameters

    print(described_parameters(arguments.parameter))


def _presets(arguments: argparse.Namespace) -> None:
    from pipelines.parameters import PRESETS, preset_names

    for name in preset_names():
        text = (PRESETS / f"{name}.yaml").read_text(encoding="utf-8")
        about = " ".join(line.lstrip("# ") for line in text.splitlines() if line.startswith("#"))
        said = f"For {about.partition(' Command:')[0].removeprefix('Preset for ')}"
        print(name, textwrap.fill(said, 100, initial_indent="  ", subsequent_indent="  "), sep="\n")


if __name__ == "__main__":
    sys.exit(main())
