"""`lesionflow status`: the steps of a run with node, duration, GPU and retries, and why one failed or waits."""

from __future__ import annotations

import argparse
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from components.common.runtime.cli import add_command
from pipelines.cluster.connection import Connection, add_connection_flags
from pipelines.cluster.errors import ClusterError
from pipelines.cluster.pods import (
    StepPod,
    events_of,
    has_ended,
    list_pods,
    step_pods,
    terminated,
    why_ended,
    why_waiting,
)
from pipelines.cluster.runs import (
    CACHED,
    ENDED,
    NOT_RUN,
    WAITING,
    RunStep,
    find_run,
    parameters_of,
    steps_of,
    why_failed,
)

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
        "show the steps and members of a run: state, time, node, GPU, retries",
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
        listed = step_pods(list_pods(connection, run.run_id)["items"], drivers=True)
    except ClusterError as error:
        listed, notes = [], [f"no node, GPU and retries: {error}"]
    pods = [pod for pod in listed if not pod.driver]
    state = (run.state or "pending").lower()
    console.print(f"{escape(run.display_name or '')} ({run.run_id}): [{_colour(run.state)}]{state}[/]")
    console.print(_table(run, listed))
    notes += _notes(connection, pods, final=run.state == "FAILED")
    if run.state == "FAILED":
        notes.append(why_failed(connection, run))
    for note in notes:
        console.print(note, highlight=False, markup=False, soft_wrap=True)


def _table(run: Any, pods: list[StepPod]) -> Table:
    """A row for each step and, where pods are known, below the training of several members a row for each of them."""
    from pipelines.parameters import member_count

    table = Table("step", "state", "time", "node", "GPU", "retries", box=None, padding=(0, 2, 0, 0))
    for step in steps_of(run):
        own = [pod for pod in pods if pod.step == step.name]
        turns = [pod.member + 1 for pod in own if pod.member is not None]
        _add_row(table, step, None if turns else next((pod for pod in reversed(own) if not pod.driver), None))
        members = max([member_count(parameters_of(run)), *turns]) if step.name == "train" and pods else 0
        for number in range(members):
            member = [pod for pod in own if pod.member == number]
            _add_row(table, *_member(number, member, step, ended=run.state in ENDED))
    return table


def _add_row(table: Table, step: RunStep, pod: StepPod | None) -> None:
    table.add_row(
        step.name,
        f"[{_colour(step.state)}]{step.state.lower()}[/]",
        _duration(step),
        escape(pod.node) if pod else "",
        escape(pod.gpus) if pod else "",
        str(pod.attempt) if pod else "",
    )


def _member(number: int, pods: list[StepPod], step: RunStep, *, ended: bool) -> tuple[RunStep, StepPod | None]:
    """One training of several as its pods tell it, since KFP's entries do not say which member they are of."""
    name, own = f"  member {number}", [pod for pod in pods if not pod.driver]
    if own:
        first, last = own[0].raw["metadata"], own[-1]
        over = _time(terminated(last.raw).get("finishedAt"))
        lost = last.phase == "Failed" and over is None  # evicted or lost: nobody has written down when
        began = None if lost else _time(first.get("creationTimestamp"))
        return RunStep(name, last.phase.upper(), began, over), last
    if any(has_ended(pod.raw) and not why_ended(pod.raw) for pod in pods):  # prepared, and needed no pod
        return RunStep(name, CACHED), None
    not_begun = NOT_RUN if ended else WAITING
    return RunStep(name, step.state if step.state in (CACHED, "SUCCEEDED") else not_begun), None


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _notes(connection: Connection, pods: list[StepPod], *, final: bool) -> list[str]:
    """Why pods wait, and how lost attempts ended; the last attempt of a failed run is explained elsewhere."""
    newest = {pod.label: pod for pod in pods}
    notes = []
    for pod in pods:
        if pod.phase == "Pending":
            if reason := why_waiting(pod.raw, events_of(connection, pod.name)):
                notes.append(f"{pod.label} is waiting: {reason}")
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
