"""`lesionflow run`: the compiled DAG on one machine, through KFP's local runner.

What KFP's runner lacks is added here: validation before anything is written, a progress display, a
stable layout of the output, a summary, and an exit code that tells the truth.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from components.common.artifacts.folder import MANIFEST
from components.common.artifacts.json_file import write_json
from components.common.runtime.errors import ConfigError, LesionflowError
from components.common.runtime.events import EVENTS_VARIABLE
from pipelines.cluster_file import Cluster
from pipelines.compile import write_pipeline
from pipelines.local.summary import summarize, summary_lines
from pipelines.local.watch import RunState, Watcher
from pipelines.parameters import RunParameters

MARK = "run.json"
_MAIN_OUTPUT = {
    "ingest": "index",
    "split": "split_data",
    "records": "records",
    "train": "model",
    "calibrate": "policy",
    "export": "bundle",
    "evaluate": "evaluation",
}
_LOG_TAIL = 30
_GRACE_S = 10
_WORK = ".work-"


class RunFailedError(LesionflowError):
    """A step failed; the message is the step's own."""


@dataclass(frozen=True)
class LocalRun:
    """A finished run: its folder and its summary (the content of `summary.json`)."""

    out: Path
    summary: dict[str, Any]


def this_machine() -> Cluster:
    """The cluster file of a local run: KFP's local runner would repeat a failed training after minutes of waiting."""
    return Cluster.parse({"training": {"retries": 0}})


def run_locally(parameters: RunParameters, out: Path, console: Console) -> LocalRun:
    """Runs the pipeline and lays its results out in `out`.

    Args:
        parameters: validated parameters.
        out: absent, empty, or the folder of an earlier run, whose results stay until this run is complete.
        console: where progress and summary are shown.

    Returns:
        The run; `out` then holds `summary.json`, `report.html`, `run.json`, `run.log`, one folder a step.

    Raises:
        ConfigError: `out` holds something else; nothing is written.
        RunFailedError: a step failed; finished steps and the log are in `out/failed`.
    """
    check_out(out)
    with _terminable(), _workspace(out) as work:
        state, code = _execute(parameters, work, console)
        _gather(work)
        if code != 0 or any(step.state != "done" for step in state.steps.values()):
            _keep_failure(work, out)
            raise _failure(state, out / "failed" / "run.log", console)
        console.print("checking that the bundle loads", highlight=False)
        try:
            _check_bundle(work / "export")
        except RunFailedError:
            _keep_failure(work, out)
            raise
        summary = summarize(work, {step.name: step.seconds for step in state.steps.values()})
        write_json(work / "summary.json", summary)
        shutil.copyfile(work / "evaluate" / "report.html", work / "report.html")
        write_json(work / MARK, {"schema": "lesionflow.run/1", "parameters": parameters.values})
        _publish(work, out)
    for line in summary_lines(summary):
        console.print(line, highlight=False, markup=False)
    console.print(f"report: {out / 'report.html'}", highlight=False, markup=False, soft_wrap=True)
    return LocalRun(out, summary)


def check_out(out: Path) -> None:
    """Refuses a folder with foreign content.

    Raises:
        ConfigError: `out` is a file, or a folder that no earlier run has made.
    """
    known = (out / MARK).is_file() or (out / "failed" / MARK).is_file()
    if out.is_dir() and not known and any(not path.name.startswith(_WORK) for path in out.iterdir()):
        raise ConfigError(f"--out: {out} holds files that are no earlier run's; allowed: a new or an empty folder")
    if out.exists() and not out.is_dir():
        raise ConfigError(f"--out: {out} is a file; allowed: a folder")


@contextmanager
def _workspace(out: Path) -> Iterator[Path]:
    for left in out.glob(f"{_WORK}*"):  # a run that was killed could not clean up after itself
        if not Path("/proc", left.name.removeprefix(_WORK)).exists():
            shutil.rmtree(left, ignore_errors=True)
    work = out / f"{_WORK}{os.getpid()}"
    made = [path for path in (out, *out.parents) if not path.exists()]
    work.mkdir(parents=True)
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
        for path in made:  # interrupted before anything was kept: leave no empty folder behind
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()


def _execute(parameters: RunParameters, work: Path, console: Console) -> tuple[RunState, int]:
    write_pipeline(work / "lesionflow.yaml", this_machine())
    write_json(work / "arguments.json", parameters.values)
    events = work / "events.jsonl"
    places = [str(work / name) for name in ("lesionflow.yaml", "arguments.json", "kfp")]
    command = [sys.executable, "-m", "pipelines.local.worker", *places]
    environment = {**os.environ, EVENTS_VARIABLE: str(events), "TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONUNBUFFERED": "1"}
    with (work / "run.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        watcher = Watcher(events, console)
        try:
            return watcher.state, watcher.follow(process)
        finally:
            _stop(process)


def _check_bundle(bundle: Path) -> None:
    """Verifies the bundle in a fresh process, as its user would: nothing of this run is in memory there."""
    command = [sys.executable, "-m", "pipelines.cli.main", "bundle", "verify", str(bundle)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode != 0:
        raise RunFailedError(f"export: the bundle does not load: {done.stderr.strip().rpartition('error: ')[2]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    os.killpg(process.pid, signal.SIGTERM)  # the steps are the worker's children: end the whole group
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=_GRACE_S)
    with suppress(ProcessLookupError):  # a step may still be saving; what it writes is removed anyway
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM ends the run as Ctrl-C does: the steps are stopped and unfinished output is removed."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _gather(work: Path) -> None:
    """Moves each step's artifact from KFP's time-stamped tree to a folder of the step's name."""
    for step, output in _MAIN_OUTPUT.items():
        for found in (work / "kfp").glob(f"*/{step}/{output}"):
            if (found / MANIFEST).is_file():
                found.rename(work / step)
    for name in ("kfp", "events.jsonl", "arguments.json"):
        path = work / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _publish(work: Path, out: Path) -> None:
    shutil.rmtree(out / "failed", ignore_errors=True)
    for path in sorted(work.iterdir()):
        target = out / path.name
        shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
        path.rename(target)


def _keep_failure(work: Path, out: Path) -> None:
    write_json(work / MARK, {"schema": "lesionflow.run/1", "state": "failed"})
    shutil.rmtree(out / "failed", ignore_errors=True)
    work.rename(out / "failed")


def _failure(state: RunState, log: Path, console: Console) -> RunFailedError:
    step = state.failed
    name = step.name if step else "the runner"
    text = step.error if step and step.error else ""
    if not text:  # the step died without a word (killed, out of memory) or never started
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        text = "ended without an error of its own; last lines of the log:\n" + "\n".join(lines[-_LOG_TAIL:])
    console.print(f"finished steps and log: {log.parent}", highlight=False, markup=False, soft_wrap=True)
    error = RunFailedError(f"{name}: {text}")
    error.exit_code = step.exit_code if step else 1
    return error
