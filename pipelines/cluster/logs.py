"""`lesionflow logs`: what the steps of a run wrote, over all attempts, and why a pod does not start."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from components.common.runtime.cli import add_command
from pipelines.cluster.connection import Connection, add_connection_flags
from pipelines.cluster.errors import ClusterError, api_call
from pipelines.cluster.log_stream import PodLog
from pipelines.cluster.pods import (
    RUN_LABEL,
    StepPod,
    events_of,
    list_pods,
    pods_of,
    step_pods,
    why_ended,
    why_waiting,
)
from pipelines.cluster.retry import patiently
from pipelines.cluster.runs import ENDED, find_run, run_now, steps_of, why_failed
from pipelines.cluster_file import TASKS

_POLL_S = 10.0
_REST_S = 0.5


def add_parser(commands: argparse._SubParsersAction[Any]) -> None:
    """Adds the command with its flags."""
    command = add_command(
        commands,
        "logs",
        "show the logs of a run's pods, or why one is Pending",
        example="lesionflow logs RUN --step train --follow",
    )
    command.add_argument("run_name", metavar="RUN", help="id or name of the run")
    command.add_argument("--step", choices=TASKS, metavar="STEP", help=f"one step: {', '.join(TASKS)}; default: all")
    command.add_argument("--follow", action="store_true", help="stay until the run, or that step, has ended")
    add_connection_flags(command)
    command.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> None:
    connection = Connection.of(arguments)
    run = find_run(connection, arguments.run_name)
    if arguments.follow:
        follow(connection, run.run_id, arguments.step)
    else:
        show(connection, run, arguments.step)


def show(connection: Connection, run: Any, step: str | None) -> None:
    """Prints what the pods have written so far.

    Raises:
        ClusterError: there is no pod, with the reason as far as it is known.
    """
    pods = [pod for pod in pods_of(connection, run.run_id) if step in (None, pod.step)]
    if not pods:
        raise ClusterError(_no_pod(connection, run, step))
    for pod in pods:
        _say(_heading(pod))
        if pod.phase == "Pending":
            _say(_why_pending(connection, pod) or f"{pod.label} is starting")
            continue
        try:
            for line in PodLog(connection, pod.name).so_far():
                print(line)
        except ClusterError as error:
            _say(str(error))
        if reason := why_ended(pod.raw):
            _say(f"{pod.label} ended: {reason}")


def follow(connection: Connection, run_id: str, step: str | None) -> None:
    """Prints logs as they come, pod after pod, until the run or the step has ended.

    A pod that is replaced (retry, preemption) is followed by the next attempt's. Why a pod waits is
    said when it starts to wait and when the reason changes; one that simply starts is not announced.

    Raises:
        ClusterError: the run, or the one step that is followed, failed; or the run has no such pod.
    """
    read_to_end: set[str] = set()
    said: dict[str, str] = {}
    while True:
        # asked before the pods, so that a pod made in between is seen in the next round
        run = run_now(connection, run_id)
        listed = patiently(lambda: list_pods(connection, run_id))
        for pod in step_pods(listed["items"]):
            if step not in (None, pod.step) or pod.name in read_to_end:
                continue
            if pod.phase == "Pending":
                _say_once(said, pod.name, _why_pending(connection, pod))
                continue
            _say(_heading(pod))
            _print_all(connection, pod)
            read_to_end.add(pod.name)
        if run.state in ENDED or (step and read_to_end and _has_ended(run, step)):
            break
        time.sleep(_REST_S)
        wait_for_change(connection, run_id, listed["metadata"].get("resourceVersion", ""), _POLL_S)
    if not read_to_end:
        raise ClusterError(_no_pod(connection, run, step))
    _finish(connection, run, step)


def wait_for_change(connection: Connection, run_id: str, version: str, seconds: float) -> None:
    """Returns when a pod of the run has changed since `version`, or after `seconds`.

    A watch that ends early (410: the server has forgotten that version; a lost connection) is not an
    error here: the caller lists the pods anew either way.
    """
    from kubernetes import watch

    started = time.monotonic()
    try:
        with api_call("watching pods"):
            for _ in watch.Watch().stream(
                connection.core.list_namespaced_pod,
                connection.namespace,
                label_selector=f"{RUN_LABEL}={run_id}",
                resource_version=version,
                timeout_seconds=max(1, round(seconds)),
                _request_timeout=(10.0, seconds + 10.0),
            ):
                return
    except ClusterError as error:
        if error.status in (401, 403):
            time.sleep(max(0.0, seconds - (time.monotonic() - started)))  # may list, may not watch


def _has_ended(run: Any, step: str) -> bool:
    return any(one.name == step and one.state in ENDED for one in steps_of(run))


def _finish(connection: Connection, run: Any, step: str | None) -> None:
    """The last line of a log that was followed; an error for a run, or a step, that failed."""
    state = (run.state or "").lower()
    if run.state not in ENDED:  # only the step has ended
        state = next(one.state for one in steps_of(run) if one.name == step).lower()
    what = f"run {run.run_id}" if run.state in ENDED else f"step {step}"
    if state in ("failed", "canceled"):
        raise ClusterError(f"{what} {state}: {why_failed(connection, run)}" if state == "failed" else f"{what} {state}")
    _say(f"{what}: {state}")


def _print_all(connection: Connection, pod: StepPod) -> None:
    for line in PodLog(connection, pod.name).follow():
        print(line, flush=True)
    try:
        ended = connection.get_json(f"/api/v1/namespaces/{connection.namespace}/pods/{pod.name}")
    except ClusterError as error:
        _say(f"pod {pod.name} is gone: deleted, preempted or evicted" if error.status == 404 else str(error))
        return
    if reason := why_ended(ended):
        _say(f"{pod.label}, attempt {pod.attempt}, ended: {reason}")


def _why_pending(connection: Connection, pod: StepPod) -> str:
    reason = why_waiting(pod.raw, events_of(connection, pod.name))
    return f"{pod.label} is waiting: {reason}" if reason else ""


def _no_pod(connection: Connection, run: Any, step: str | None) -> str:
    which = f"step {step}" if step else "this run"
    states = {one.name: one.state for one in steps_of(run)}
    if step and states.get(step) == "CACHED":
        why = "its result came from the cache; the UI links the run that made it"
    elif step and states.get(step, "NOT RUN") == "NOT RUN":
        why = "the run ended before its turn"
    elif run.state == "FAILED":
        why = why_failed(connection, run)
    elif run.state in ENDED:
        why = "its result came from the cache, or its pods were removed (ttl_s); train.log is in the model artifact"
    else:
        why = "it has not started yet"
    return f"{which} has no pod: {why}"


def _heading(pod: StepPod) -> str:
    where = f" on {pod.node}" if pod.node else ""
    return f"==> {pod.label}, attempt {pod.attempt}: {pod.name}{where} <=="


def _say_once(said: dict[str, str], key: str, text: str) -> None:
    if text and said.get(key) != text:
        said[key] = text
        _say(text)


def _say(text: str) -> None:
    """Our own words go to stderr: stdout holds the log alone."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
