"""`lesionflow status`: the steps of a run with node, duration, GPU and retries."""

from __future__ import annotations

import argparse
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from components.common.runtime.cli import add_command
from pipelines.cluster.connection import Connection, add_connection_flags
from pipelines.cluster.errors import ClusterError
from pipelines.cluster.pods import StepPod, events_of, pods_of, why_ended, why_waiting
from pipelines.cluster.runs import StepState, error_of, find_run, steps_of

_COLOURS = {"SUCCEEDED": "green", "FAILED": "red", "CANCELED": "red", "RUNNING": "cyan", "SKIPPED": "dim"}


def add_parser(commands: argparse._SubParsersAction[Any]) -> None:
    """Adds the command with its flags."""
    command = add_command(
        commands,
        "status",
        "show a run's steps: node, duration, GPU, retries",
        example="lesionflow status RUN",
    )
    command.add_argument("run_name", metavar="RUN", help="id or name of the run")
    add_connection_flags(command)
    command.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> None:
    show_status(Connection.of(arguments), arguments.run_name, Console())


def show_status(connection: Connection, id_or_name: str, console: Console) -> None:
    """Prints the state of a run; without access to its pods, what Kubeflow Pipelines alone knows.

    Raises:
        ClusterError: Kubeflow Pipelines does not know the run, or does not answer.
    """
    run = find_run(connection, id_or_name)
    notes: list[str] = []
    try:
        pods = pods_of(connection, run.run_id)
    except ClusterError as error:
        pods, notes = [], [f"no node, GPU and retries: {error}"]
    console.print(f"{run.display_name} ({run.run_id}): [{_colour(run.state)}]{(run.state or 'pending').lower()}[/]")
    console.print(_table(steps_of(run), pods))
    notes += _reasons(connection, pods)
    if run.state == "FAILED":
        notes.append(error_of(run) or "the run failed without an error of its own")
    for note in notes:
        console.print(note, highlight=False, markup=False, soft_wrap=True)


def _table(steps: list[StepState], pods: list[StepPod]) -> Table:
    table = Table("step", "state", "time", "node", "GPU", "retries", box=None, padding=(0, 2, 0, 0))
    known = {step.name: step for step in steps}
    names = list(dict.fromkeys([*known, *(pod.step for pod in pods)]))
    for name in names:
        own = [pod for pod in pods if pod.step == name]
        newest = own[-1] if own else None
        state = known[name].state if name in known else (newest.phase if newest else "").upper()
        table.add_row(
            escape(name),
            f"[{_colour(state)}]{state.lower()}[/]",
            _duration(known.get(name)),
            newest.node if newest else "",
            newest.gpus if newest else "",
            str(newest.attempt) if newest else "",
        )
    return table


def _reasons(connection: Connection, pods: list[StepPod]) -> list[str]:
    notes = []
    for pod in pods:
        if pod.phase == "Pending":
            reason = why_waiting(pod.raw, events_of(connection, pod.name))
            notes.append(f"{pod.step}: waits{': ' + reason if reason else ''}")
        elif ended := why_ended(pod.raw):
            notes.append(f"{pod.step}, attempt {pod.attempt}: {ended}")
    return notes


def _duration(step: StepState | None) -> str:
    if step is None or step.seconds is None:
        return ""
    minutes, seconds = divmod(max(0, round(step.seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"


def _colour(state: str | None) -> str:
    return _COLOURS.get(state or "", "default")
