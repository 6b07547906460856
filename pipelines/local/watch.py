"""What a person sees while a local run goes on: one line per step, and a bar inside the long ones."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from pipelines.cluster_file import COMBINE_TASK, PLAN_TASK, STEPS

_POLL_S = 0.2
_PLAIN_EVERY_S = 10.0
_WIDE = 80  # columns from which on a bar has room beside the numbers


@dataclass
class StepState:
    """One step of the run: waiting, running, done, reused or failed, with its seconds, error and artifacts."""

    name: str
    state: str = "waiting"
    seconds: float = 0.0
    error: str = ""
    exit_code: int = 1
    outputs: dict[str, Path] = field(default_factory=dict)


def steps_of(members: Iterable[str] = ()) -> list[str]:
    """The steps of a run in the order of the DAG; of one with members, a training for each."""
    trainings = [f"train {name}" for name in members]
    around = [PLAN_TASK, *trainings, COMBINE_TASK] if trainings else ["train"]
    return [name for step in STEPS for name in (around if step == "train" else [step])]


@dataclass
class RunState:
    """All steps, in the order of the DAG."""

    steps: dict[str, StepState] = field(default_factory=lambda: {name: StepState(name) for name in steps_of()})

    @property
    def failed(self) -> StepState | None:
        """The step that failed, or the one that was running when the run ended."""
        for wanted in ("failed", "running"):
            for step in self.steps.values():
                if step.state == wanted:
                    return step
        return None


class Watcher:
    """Follows the events file of a run until its process ends."""

    def __init__(self, events: Path, console: Console, members: Iterable[str] = ()) -> None:
        self.state = RunState({name: StepState(name) for name in steps_of(members)})
        self._events = events
        self._console = console
        self._position = 0
        self._started: dict[str, float] = {}
        self._bar = Progress(*_columns(console), console=console, transient=True)
        self._clock: Any = None
        self._task: Any = None
        self._what = ""
        self._plain_at = 0.0

    def follow(self, process: subprocess.Popen[bytes]) -> int:
        """Draws until `process` ends; returns its exit code."""
        with self._bar:
            while process.poll() is None:
                self._read()
                time.sleep(_POLL_S)
            self._read()
            self._clear_bar()
        return process.returncode

    def _read(self) -> None:
        if not self._events.exists():
            return
        with self._events.open("rb") as handle:
            handle.seek(self._position)
            for line in handle:
                if not line.endswith(b"\n"):
                    break  # half a line: the rest comes with the next poll
                self._position += len(line)
                self._take(json.loads(line))

    def _take(self, event: dict[str, Any]) -> None:
        kind = event["event"]
        if kind == "progress":
            self._draw(event)
            return
        if kind == "line":  # the end of an epoch: without a terminal it is all that is said of one
            self._plain_at = time.monotonic()
            self._console.print(f"  {event['text']}", highlight=False, markup=False)
            return
        step = self.state.steps.setdefault(event["step"], StepState(event["step"]))
        if kind in ("kept", "reused"):
            step.outputs = {name: Path(path) for name, path in event["outputs"].items()}
            if kind == "reused":
                step.state = kind
                self._line(step)
        elif kind == "start":
            step.state = "running"
            self._started[step.name] = time.monotonic()
            self._plain_at = time.monotonic()
            if not self._console.is_terminal:
                self._line(step)
            else:
                self._clear_clock()
                self._clock = self._bar.add_task(step.name, total=None, note="running", count="")
        else:
            step.state = kind
            step.seconds = event.get("seconds", time.monotonic() - self._started.get(step.name, time.monotonic()))
            step.error, step.exit_code = event.get("error", ""), event.get("exit_code", 1)
            self._clear_bar()
            self._clear_clock()
            self._line(step)

    def _line(self, step: StepState) -> None:
        colour = {"done": "green", "reused": "green", "failed": "red"}.get(step.state, "cyan")
        seconds = f"{step.seconds:8.1f} s" if step.state not in ("running", "reused") else ""
        self._console.print(f"{escape(step.name):<10} [{colour}]{step.state:<8}[/] {seconds}", highlight=False)

    def _draw(self, event: dict[str, Any]) -> None:
        what, done, total = event["what"], event["done"], event["total"]
        if not self._console.is_terminal:
            now = time.monotonic()
            if now - self._plain_at >= _PLAIN_EVERY_S and not what.startswith("epoch "):
                self._plain_at = now
                self._console.print(
                    f"  {what}: {done} of {total} {event['note']}".rstrip(), highlight=False, markup=False
                )
            return
        if what != self._what or self._task is None:
            self._clear_bar()
            self._what = what
            self._task = self._bar.add_task(f"  {what}", total=total, note="", count="")
        count = f"{done}/{total}"
        self._bar.update(self._task, completed=done, total=total, note=event["note"], count=count)
        if done >= total:
            self._clear_bar()

    def _clear_bar(self) -> None:
        if self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None

    def _clear_clock(self) -> None:
        if self._clock is not None:
            self._bar.remove_task(self._clock)
            self._clock = None


def _columns(console: Console) -> list[ProgressColumn]:
    """Name, count, clock and note; where there is room a bar and the time left as well."""
    count, note = TextColumn("{task.fields[count]}"), TextColumn("{task.fields[note]}")
    if console.width < _WIDE:
        return [TextColumn("{task.description:<14}"), count, TimeElapsedColumn(), note]
    return [
        TextColumn("{task.description:<26}"),
        BarColumn(24),
        count,
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        note,
    ]
