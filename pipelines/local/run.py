"""`lesionflow run`: the compiled DAG on one machine, through KFP's local runner.

What KFP's runner lacks is added here: validation before anything is written, a progress display, a
stable layout of the output, a summary, and an exit code that tells the truth.
"""

from __future__ import annotations

import json
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

from components.common.artifacts.json_file import write_json
from components.common.artifacts.place import refuse_among_images, refuse_inside
from components.common.bundle.verify import BUNDLE_OK
from components.common.runtime.errors import LesionflowError
from components.common.runtime.events import EVENTS_VARIABLE
from components.common.runtime.session import CHECKPOINT_ROOT_VARIABLE, RUN_ID_VARIABLE
from pipelines.cluster_file import COMBINE_TASK, Cluster
from pipelines.compile import write_pipeline
from pipelines.local.step_cache import code_identity
from pipelines.local.summary import summarize, summary_lines
from pipelines.local.watch import RunState, Watcher
from pipelines.local.workspace import MARK, check_out, held, keep_failure, link_tree, publish
from pipelines.parameters import RunParameters

SCHEMA = "lesionflow.run/1"
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
_SECONDS = "seconds.json"
_CHECKPOINTS = "checkpoints"
_NEVER_S = 10**9


class RunFailedError(LesionflowError):
    """A step failed; the message is the step's own."""


@dataclass(frozen=True)
class LocalRun:
    """A finished run: its folder and its summary (the content of `summary.json`)."""

    out: Path
    summary: dict[str, Any]


def this_machine() -> Cluster:
    """The cluster file of a local run.

    No retries: KFP's local runner would repeat a failed training after minutes of waiting. One training at a time, and
    no deadline that they could outlast. Nothing runs in the images; their names are part of the key of a finished step,
    and stand for the code.
    """
    image = f"lesionflow-local:{code_identity()}"
    training = {"retries": 0, "parallelism": 1}
    return Cluster.parse(
        {"training": training, "deadline_s": _NEVER_S, "images": {"data": image, "cpu": image, "gpu": image}}
    )


def run_locally(parameters: RunParameters, out: Path, console: Console, *, fresh: bool = False) -> LocalRun:
    """Runs the pipeline and lays its results out in `out`.

    Args:
        parameters: validated parameters.
        out: absent, empty, or the folder of an earlier run, whose results stay until this run is complete and
            whose finished steps are reused where inputs, parameters and code are the same.
        console: where progress and summary are shown.
        fresh: run every step, also those that an earlier run has finished.

    Returns:
        The run; `out` then holds `summary.json`, `report.html`, `run.json`, `run.log`, one folder per step.

    Raises:
        ConfigError: `out` holds something else, lies among the images, or another run is using it; nothing is written.
        RunFailedError: a step failed; finished steps and the log are in `out/failed`.
    """
    check_out(out)
    refuse_inside(out, parameters.values["images"])
    refuse_among_images(out)
    with _stoppable(), held(out, fresh=fresh) as steps:
        try:
            state, code = _execute(parameters, steps, console)
        except KeyboardInterrupt:
            console.print("stopped; run the same command again to continue after the finished steps", highlight=False)
            raise
        results = _results(state, steps)
        if code != 0 or any(step.state not in ("done", "reused") for step in state.steps.values()):
            _fail(_failure(state, results / "run.log"), results, out, console)
        console.print("checking that the bundle loads", highlight=False)
        if said := _bundle_fault(results / "export"):
            _fail(RunFailedError(f"export: the bundle does not load: {said}"), results, out, console)
        summary = summarize(results, _seconds(state, steps))
        write_json(results / "summary.json", summary)
        shutil.copyfile(results / "evaluate" / "report.html", results / "report.html")
        write_json(results / MARK, {"schema": SCHEMA, "parameters": parameters.values})
        publish(results, out, steps)
        _prune(state, out, steps.name)
    for line in summary_lines(summary):
        console.print(line, highlight=False, markup=False)
    console.print(f"report: {out / 'report.html'}", highlight=False, markup=False, soft_wrap=True)
    return LocalRun(out, summary)


def _execute(parameters: RunParameters, steps: Path, console: Console) -> tuple[RunState, int]:
    work = steps / "run"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    write_pipeline(work / "lesionflow.yaml", this_machine(), members=bool(parameters.members))
    write_json(work / "arguments.json", parameters.values)
    events = work / "events.jsonl"
    places = [work / "lesionflow.yaml", work / "arguments.json", steps / "kfp", steps / "cache"]
    command = [sys.executable, "-m", "pipelines.local.worker", *map(str, places)]
    with (work / "run.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=subprocess.STDOUT,
            # the test ledger outlives the run, as everything in the folder of steps does
            env={
                CHECKPOINT_ROOT_VARIABLE: str(steps.absolute()),
                **_environment(),
                **_resumed(parameters),
                EVENTS_VARIABLE: str(events),
            },
            stdin=subprocess.PIPE,  # nothing is sent: the worker ends when the kernel closes this end
            start_new_session=True,
        )
        watcher = Watcher(events, console, [member.name for member in parameters.members])
        try:
            return watcher.state, watcher.follow(process)
        finally:
            _stop(process)


def _environment() -> dict[str, str]:
    """The environment of child processes: quiet, and without the current folder among the places to import from."""
    return {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1"}


def _resumed(parameters: RunParameters) -> dict[str, str]:
    """Lets members save what they go on from after a kill, below the root of checkpoints.

    A single training starts from the beginning: its checkpoint would be in the way of one with other parameters.
    """
    return {RUN_ID_VARIABLE: _CHECKPOINTS} if parameters.members else {}


def _bundle_fault(bundle: Path) -> str:
    """What is wrong with the bundle in a fresh process, as its user starts one; empty where it is fine."""
    command = [sys.executable, "-m", "pipelines.cli.main", "bundle", "verify", str(bundle)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=_environment())
    if done.returncode == 0 and done.stdout.endswith(f"{BUNDLE_OK}\n"):
        return ""  # the line and not only the code: a graph can end the process with code 0
    said = done.stderr.strip().rpartition("error: ")[2]
    return said or f"`bundle verify` ended with code {done.returncode} before it was through"


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ends the worker and its steps, which are one process group, also when the worker itself is gone already."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=_GRACE_S)
    with suppress(ProcessLookupError, PermissionError):  # a step may still be saving; what it writes is removed anyway
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextmanager
def _stoppable() -> Iterator[None]:
    """SIGTERM and a closed terminal end the run as Ctrl-C does; under nohup a closed terminal changes nothing."""
    before = {one: signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGHUP)}
    for one, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(one, signal.default_int_handler)
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _results(state: RunState, steps: Path) -> Path:
    """A folder with the artifact of each finished step, the pipeline and the log."""
    results = steps / "results"
    shutil.rmtree(results, ignore_errors=True)
    results.mkdir()
    trainings = [step for name, step in state.steps.items() if name.startswith("train ")]
    sources = {step: COMBINE_TASK if step == "train" and trainings else step for step in _MAIN_OUTPUT}
    for step, output in _MAIN_OUTPUT.items():
        found = state.steps[sources[step]].outputs.get(output)
        if found is not None:
            link_tree(found, results / step)
    for number, training in enumerate(trainings):
        if "model" in training.outputs:
            link_tree(training.outputs["model"], results / "members" / str(number))
    for name in ("lesionflow.yaml", "run.log"):
        shutil.copyfile(steps / "run" / name, results / name)
    return results


def _seconds(state: RunState, steps: Path) -> dict[str, float]:
    """Seconds of each step; of a reused one those it took when it ran."""
    path = steps / _SECONDS
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    known |= {step.name: step.seconds for step in state.steps.values() if step.state == "done"}
    write_json(path, known)
    return {name: known.get(name, 0.0) for name in state.steps}


def _prune(state: RunState, out: Path, steps_name: str) -> None:
    """Removes outputs that only earlier runs used, so that a folder of results does not grow for ever."""
    steps = out / steps_name
    shutil.rmtree(steps / _CHECKPOINTS, ignore_errors=True)
    used = {folder for step in state.steps.values() for path in step.outputs.values() for folder in path.parents}
    for folder in (steps / "kfp").glob("*/*"):  # a step, or an iteration of a loop with its step inside
        if folder not in used:
            shutil.rmtree(folder, ignore_errors=True)
    for run in (steps / "kfp").iterdir():
        with suppress(OSError):
            run.rmdir()
    for entry in (steps / "cache").glob("*.json"):
        outputs = json.loads(entry.read_text(encoding="utf-8")).values()
        if any(isinstance(value, dict) and not Path(value.get("uri", "/")).exists() for value in outputs):
            entry.unlink()


def _fail(error: RunFailedError, results: Path, out: Path, console: Console) -> None:
    write_json(results / MARK, {"schema": SCHEMA, "state": "failed"})
    keep_failure(results, out)
    for line in (
        f"finished steps and log: {out / 'failed'}",
        "run the same command again, with other parameters if those were the cause: finished steps are reused",
    ):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    raise error


def _failure(state: RunState, log: Path) -> RunFailedError:
    step = state.failed
    name = step.name if step else "the runner"
    text = step.error if step and step.error else ""
    if not text:  # the step died without a word (killed, out of memory) or never started
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        text = "ended without an error message; last lines of the log:\n" + "\n".join(lines[-_LOG_TAIL:])
    error = RunFailedError(f"{name}: {text}")
    error.exit_code = step.exit_code if step else 1
    return error
