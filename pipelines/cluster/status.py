"""`lesionflow status`: the steps of a run with node, duration, GPU and retries, and why one failed or waits."""

from __future__ import annotations

import argparse
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from components.common.runtime.cli import add_command
from pipelines.cluster.connection import Connection, add_connection_flags
from pipelines.cluster.errors import ClusterError
from pipelines.cluster.pods import StepPod, has_ended, pods_of, why_ended, why_waiting
from pipelines.cluster.runs import RunStep, find_run, steps_of, why_failed
from pipelines.cluster.watch import events_of

_COLOURS = {
    "SUCCEEDED": "green",
    "CACHED": "green",
    "FAILED": "red",
    "CANCELED": "red",
    "RUNNING": "cyan",
    "SKIPPED": "dim",
    "WAITING": "dim",
    "NOT RUN": "dim",
}


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
    state = (run.state or "pending").lower()
    console.print(f"{escape(run.display_name or '')} ({run.run_id}): [{_colour(run.state)}]{state}[/]")
    console.print(_table(steps_of(run), pods))
    notes += _notes(connection, pods, final=run.state == "FAILED")
    if run.state == "FAILED":
        notes.append(why_failed(connection, run))
    for note in notes:
        console.print(note, highlight=False, markup=False, soft_wrap=True)


def _table(steps: list[RunStep], pods: list[StepPod]) -> Table:
    table = Table("step", "state", "time", "node", "GPU", "retries", box=None, padding=(0, 2, 0, 0))
    newest = {pod.step: pod for pod in pods}
    for step in steps:
        pod = newest.get(step.name)
        table.add_row(
            step.name,
            f"[{_colour(step.state)}]{step.state.lower()}[/]",
            _duration(step),
            escape(pod.node) if pod else "",
            escape(pod.gpus) if pod else "",
            str(pod.attempt) if pod else "",
        )
    return table


def _notes(connection: Connection, pods: list[StepPod], *, final: bool) -> list[str]:
    """Why pods wait, and how lost attempts ended; the last attempt of a failed run is explained elsewhere."""
    newest = {pod.label: pod for pod in pods}
    notes = []
    for pod in pods:
        if pod.phase == "Pending":
            if reason := why_waiting(pod.raw, events_of(connection, pod.name)):
                notes.append(f"{pod.label}: waits: {reason}")
        elif has_ended(pod.raw) and not (final and newest[pod.label] is pod) and (ended := why_ended(pod.raw)):
            notes.append(f"{pod.label}, attempt {pod.attempt}: {ended}")
    return notes


def _duration(step: RunStep) -> str:
    if step.seconds is None:
        return ""
    minutes, seconds = divmod(max(0, round(step.seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"


def _colour(state: str | None) -> str:
    return _COLOURS.get(state or "", "default")
