"""Runs as Kubeflow Pipelines reports them: found by id or name, and their steps."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pipelines.cluster.connection import Connection
from pipelines.cluster.errors import ClusterError, redact
from pipelines.cluster.retry import read, read_patiently
from pipelines.cluster_file import STEPS

ENDED = frozenset({"SUCCEEDED", "FAILED", "CANCELED", "SKIPPED"})
_ID = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
_ATTEMPT = re.compile(r"\(\d+\)$")


@dataclass(frozen=True)
class StepState:
    """One step of a run as KFP tells it."""

    name: str
    state: str
    started: datetime | None
    ended: datetime | None
    error: str

    @property
    def seconds(self) -> float | None:
        """Wall-clock seconds, up to now for a step that goes on."""
        if self.started is None:
            return None
        return ((self.ended or datetime.now(UTC)) - self.started).total_seconds()


def run_now(connection: Connection, run_id: str) -> Any:
    """The run as it stands, for who watches it: through a server's restart, and a token that has expired.

    Raises:
        ClusterError: refused, or not reached for ten minutes.
    """

    def ask() -> Any:
        return read_patiently(f"run {run_id}", lambda: connection.kfp.get_run(run_id))

    try:
        return ask()
    except ClusterError as error:
        if error.status != 401:
            raise
        connection.renew()
        return ask()


def find_run(connection: Connection, id_or_name: str) -> Any:
    """The run with this id, or the newest one with this name.

    Raises:
        ClusterError: there is none.
    """
    if _ID.match(id_or_name):
        return read(f"run {id_or_name}", lambda: connection.kfp.get_run(id_or_name))
    wanted = {"predicates": [{"operation": "EQUALS", "key": "display_name", "stringValue": id_or_name}]}
    listed = read(
        "listing runs",
        lambda: connection.kfp.list_runs(
            page_size=1, sort_by="created_at desc", filter=json.dumps(wanted), namespace=connection.user_namespace
        ),
    )
    if not listed.runs:
        raise ClusterError(f"no run has the id or name {id_or_name!r}; the UI lists them under Runs", 404)
    return read("the run", lambda: connection.kfp.get_run(listed.runs[0].run_id))


def steps_of(run: Any) -> list[StepState]:
    """The steps of a run in the order of the DAG; the drivers and groups that KFP adds are left out."""
    details = (run.run_details.task_details if run.run_details else None) or []
    found: dict[str, Any] = {}
    for task in details:
        name = _ATTEMPT.sub("", task.display_name or "")
        # of several attempts the newest speaks for the step
        if name in STEPS and (name not in found or _when(task) >= _when(found[name])):
            found[name] = task
    return [_state(name, found[name]) for name in STEPS if name in found]


def error_of(run: Any) -> str:
    """What KFP says of a failed run: its own error and those of its steps."""
    own = run.error.message if run.error and run.error.message else ""
    steps = [f"{step.name}: {step.error}" for step in steps_of(run) if step.error]
    return redact("; ".join(part for part in (own, *steps) if part))


def _when(task: Any) -> datetime:
    return task.start_time or task.create_time or datetime.min.replace(tzinfo=UTC)


def _state(name: str, task: Any) -> StepState:
    error = task.error.message if task.error and task.error.message else ""
    # Argo's zero time stands for "not yet"
    ended = task.end_time if task.end_time and task.end_time.year > 1970 else None
    return StepState(name, task.state or "PENDING", task.start_time, ended, " ".join(error.split()))
