"""`lesionflow search`: training parameters chosen on validation; or the same search for a cluster with Katib."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from components.common.runtime.cli import add_command
from components.common.runtime.errors import ConfigError
from pipelines.cluster.compiled import add_cluster_flags


def add_parser(commands: argparse._SubParsersAction[Any]) -> None:
    """Adds the command with its flags."""
    command = add_command(
        commands,
        "search",
        "choose training parameters on validation, out of many trials",
        example="lesionflow search --preset mine.yaml --records results/records --out found\n"
        "lesionflow search --preset mine.yaml --records /data/records --emit katib --cluster cluster.yaml "
        "--image-refs out/images.yaml --out experiment.yaml",
    )
    command.add_argument("--preset", required=True, metavar="FILE", help="a preset with an entry `search`")
    command.add_assignments()
    command.add_argument(
        "--records", type=Path, required=True, metavar="DIR", help="records of a run; with --emit the path in the pods"
    )
    command.add_argument(
        "--out", type=Path, required=True, metavar="PATH", help="folder of results; with --emit a file"
    )
    command.add_argument("--emit", choices=["katib"], help="write an Experiment for Katib and run nothing here")
    command.add_argument("--name", default="lesionflow-search", metavar="NAME", help="name of the Experiment")
    add_cluster_flags(command)
    command.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> None:
    from components.common.runtime.yaml_text import parse_assignments
    from pipelines.search.space import load_search

    search = load_search(arguments.preset, parse_assignments(arguments.set))
    if arguments.emit:
        _emit(arguments, search)
        return
    if arguments.cluster or arguments.image_refs or arguments.set_cluster:
        raise ConfigError("--cluster: received without --emit; allowed: a search here, or --emit katib for a cluster")
    from components.common.runtime.session import setup_logging
    from components.train.backend import prepare_backend
    from pipelines.search.results import table_lines
    from pipelines.search.study import run_search

    setup_logging()
    prepare_backend(deterministic=False)
    for line in table_lines(run_search(search, arguments.records, arguments.out)):
        print(line)
    print(f"table and picture: {arguments.out / 'trials.csv'}, {arguments.out / 'trials.svg'}")
    print(f"train the best in a full run: lesionflow run --preset {arguments.out / 'best.yaml'} ...")


def _emit(arguments: argparse.Namespace, search: Any) -> None:
    from components.common.artifacts.json_file import write_atomic
    from pipelines.cluster.compiled import cluster_of
    from pipelines.search.katib import experiment_yaml

    cluster = cluster_of(arguments, to_look_at=True)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(arguments.out, experiment_yaml(search, cluster, str(arguments.records), arguments.name))
    print(f"wrote {arguments.out}; start it with: kubectl apply -n NAMESPACE -f {arguments.out}")
