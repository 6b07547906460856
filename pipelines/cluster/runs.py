"""Runs as Kubeflow Pipelines reports them: found by id or name, and their steps."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from components.common.runtime.secrets import without_secrets
from pipelines.cluster.connection import Connection
from pipelines.cluster.errors import ClusterError
from pipelines.cluster.failure import failures
from pipelines.cluster.pods import ATTEMPT
from pipelines.cluster.retry import patiently, read
from pipelines.cluster_file import (
    ALARM_TASK,
    COMBINE_TASK,
    MONITOR_TASK,
    PART_OF,
    PLAN_TASK,
    STEPS,
    TASKS,
    VALIDATE_TASK,
)

ENDED = frozenset({"SUCCEEDED", "FAILED", "CANCELED", "SKIPPED"})
CACHED, WAITING, NOT_RUN = "CACHED", "WAITING", "NOT RUN"
_ID = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")


@dataclass(frozen=True)
class RunStep:
    """One step of a run.

    Attributes:
        name: the step.
        state: KFP's word for it; or CACHED, WAITING (its turn has not come), NOT RUN (the run ended before).
        started: when its pod was asked for; None before.
        ended: when it ended; None before.
    """

    name: str
    state: str
    started: datetime | None = None
    ended: datetime | None = None

    @property
    def seconds(self) -> float | None:
        """Wall-clock seconds, up to now for a step that goes on; None for one that did not run."""
        if self.started is None or self.state in (NOT_RUN, CACHED):
            return None
        return ((self.ended or datetime.now(UTC)) - self.started).total_seconds()


def run_now(connection: Connection, run_id: str) -> Any:
    """The run as it stands, for who watches it: through a server's restart, and a token that has expired.

    Raises:
        ClusterError: refused, or not reached for ten minutes.
    """

    def ask() -> Any:
        return patiently(lambda: read(f"run {run_id}", lambda: connection.kfp.get_run(run_id)))

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


def steps_of(run: Any) -> list[RunStep]:
    """Every step in the order of the DAG, also those whose turn has not come; then the register and the exit task.

    KFP lists about four entries per step: `train`, `train(0)`, `train-driver` and `executor`, the latter two
    again with an attempt, and some without a name. The plain name speaks for the step; a step in a loop has several
    entries of that name, one per turn that has begun.
    """
    details = (run.run_details.task_details if run.run_details else None) or []
    skipped = {
        _time(task.start_time) for task in details if task.display_name == "executor" and task.state == "SKIPPED"
    }
    found: dict[str, list[Any]] = {}
    for task in details:
        found.setdefault(ATTEMPT.sub("", task.display_name or ""), []).append(task)
    ended = run.state in ENDED
    expected = _steps_to_come(run, found)
    steps = [_state(name, found.get(name, []), skipped, ended) for name in TASKS if name in found or name in expected]
    return steps if ended else [_with_turns_to_come(step, found) for step in steps]


def _steps_to_come(run: Any, found: Mapping[str, Any]) -> tuple[str, ...]:
    """The steps of the run's pipeline, which a run tells by its parameters before a task does."""
    given = parameters_of(run).keys()
    if MONITOR_TASK in found or {"bundle", "predictions"} <= given:
        return ("check", MONITOR_TASK, ALARM_TASK)
    if VALIDATE_TASK in found or {"bundle", "metadata"} <= given:
        return ("check", "ingest", VALIDATE_TASK)
    return STEPS


def parameters_of(run: Any) -> dict[str, Any]:
    """The parameters that a run was given; those left out have the defaults of its compiled pipeline."""
    return dict((run.runtime_config.parameters if run.runtime_config else None) or {})


def _with_turns_to_come(step: RunStep, found: Mapping[str, Any]) -> RunStep:
    """A step in a loop goes on until the task behind the loop is prepared: further turns have no entry yet."""
    looped = step.name in PART_OF or (step.name == "train" and PLAN_TASK in found)
    behind = PART_OF.get(step.name, COMBINE_TASK)
    if not looped or step.state not in ("SUCCEEDED", CACHED) or {behind, f"{behind}-driver"} & set(found):
        return step
    return RunStep(step.name, "RUNNING", step.started)


def _rank(task: Any) -> int:
    """Of several turns one that failed speaks for all, then one that goes on."""
    return {"FAILED": 3, "CANCELED": 2, "RUNNING": 1, "PENDING": 1}.get(task.state or "", 0)


def why_failed(connection: Connection, run: Any) -> str:
    """Why a run failed: each failed step's own last error, Argo's message, or KFP's; never empty."""
    try:
        reasons = failures(connection, run.run_id)
    except ClusterError as error:
        reasons = [f"the pods, which know why, cannot be read: {error}"]
    return "\n".join(reasons or [_kfp_error(run) or _unknown(run)])


def _kfp_error(run: Any) -> str:
    """What KFP itself says of a failed run; nothing, in all that was seen."""
    details = (run.run_details.task_details if run.run_details else None) or []
    said = [(run.error, "")] + [(task.error, f"{task.display_name}: ") for task in details]
    messages = [f"{of}{' '.join(one.message.split())}" for one, of in said if one and one.message]
    return without_secrets("; ".join(dict.fromkeys(messages)))


def _unknown(run: Any) -> str:
    failed = [step.name for step in steps_of(run) if step.state == "FAILED"]
    which = f"{', '.join(failed)} failed" if failed else "no step is marked as failed"
    return f"{which}; its pods are gone (ttl_s), and with them the reason"


def _state(name: str, tasks: list[Any], skipped: set[datetime | None], run_ended: bool) -> RunStep:
    tasks = [task for task in tasks if task.display_name == name] or tasks[:1]
    worst = max(tasks, key=_rank, default=None)
    state = (worst.state if worst else None) or (NOT_RUN if run_ended else WAITING)
    times = [(_time(task.start_time), _time(task.end_time)) for task in tasks]
    # KFP marks a cached step as succeeded; that its executor was skipped, in the same moment, tells it
    if state == "SUCCEEDED" and all(start and start == end and start in skipped for start, end in times):
        state = CACHED
    begun, over = [start for start, _ in times if start], [end for _, end in times if end]
    return RunStep(name, state, min(begun, default=None), max(over) if over and len(over) == len(times) else None)


def _time(value: datetime | None) -> datetime | None:
    """None for "not yet", which KFP writes as the year 1 or 1970."""
    return value if value and value.year > 1970 else None
