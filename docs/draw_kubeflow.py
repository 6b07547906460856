"""Draws docs/images/kubeflow.svg: the compiled pipeline as Kubeflow's run page shows it.

Left the page as it opens, right what is behind the box `steps`: tasks, below each the artifacts it writes, and a
line to whoever reads one. Run it after a change to the DAG; a test holds the picture against the pipeline.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from picture import write_picture

from pipelines.ir import load_documents

TARGET = Path(__file__).parent / "images" / "kubeflow.svg"
TASK, ARTIFACT, ROW, MARGIN = (170, 34), (118, 26), 50, 22
Place = tuple[float, float]


def outputs(spec: Mapping[str, Any], task: Mapping[str, Any]) -> list[str]:
    """Names of the artifacts a task writes; what only a metrics page shows is among them, as in Kubeflow."""
    component = spec["components"][task["componentRef"]["name"]]
    return sorted(component.get("outputDefinitions", {}).get("artifacts", {}))


def reads(task: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(task, artifact) pairs that a task reads."""
    found = {
        (source["taskOutputArtifact"]["producerTask"], source["taskOutputArtifact"]["outputArtifactKey"])
        for source in task.get("inputs", {}).get("artifacts", {}).values()
        if "taskOutputArtifact" in source
    }
    return sorted(found)


def in_order(tasks: Mapping[str, Any]) -> list[str]:
    """Task names, each after those it waits for."""
    done: list[str] = []
    while len(done) < len(tasks):
        ready = [
            name
            for name, task in sorted(tasks.items())
            if name not in done and all(one in done for one in task.get("dependentTasks", []))
        ]
        done.append(ready[0])
    return done


def node(text: str, at: Place, size: tuple[int, int], kind: str) -> str:
    """A box with its name, centred at `at`."""
    x, y = at[0] - size[0] / 2, at[1] - size[1] / 2
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{size[0]}" height="{size[1]}" rx="5" class="{kind}"/>'
        f'<text x="{at[0]:g}" y="{at[1] + 4:g}" class="{kind}-name">{escape(text)}</text>'
    )


def line(start: Place, end: Place, kind: str = "") -> str:
    """From the bottom of one box down, and into the top of another."""
    (x1, y1), (x2, y2) = start, end
    turn = max(y1, y2 - ROW * 0.8)
    curve = f"M{x1:g} {y1:g} V{turn:g} C{x1:g} {y2 - 8:g} {x2:g} {turn:g} {x2:g} {y2:g}"
    return f'<path d="{curve}" class="edge {kind}"/>'


def bypass(start: Place, end: Place, lane: float) -> str:
    """From the left of an artifact down a lane of its own, and into the left of a task further below."""
    (x1, y1), (x2, y2) = start, end
    return f'<path d="M{x1:g} {y1:g} H{lane + 8:g} Q{lane:g} {y1:g} {lane:g} {y1 + 8:g} V{y2 - 8:g} ' + (
        f'Q{lane:g} {y2:g} {lane + 8:g} {y2:g} H{x2:g}" class="edge"/>'
    )


def level(spec: Mapping[str, Any], tasks: Mapping[str, Any], left: float, width: float, title: str) -> list[str]:
    """One page: the tasks of one DAG from top to bottom."""
    middle, y = left + width / 2, MARGIN + 40.0
    parts = [f'<text x="{middle:g}" y="{MARGIN + 8}" class="title">{escape(title)}</text>']
    order = in_order(tasks)
    read = {pair for name in order for pair in reads(tasks[name])}
    lanes = {pair: middle - 150 - 11 * i for i, pair in enumerate(sorted(read))}
    places: dict[tuple[str, str], Place] = {}
    lines, last = [], (0.0, 0.0)
    for number, name in enumerate(order):
        top = (middle, y - TASK[1] / 2)
        for producer, key in reads(tasks[name]):
            x, below = places[producer, key]
            if order.index(producer) == number - 1:
                lines.append(line((x, below), top))
            else:  # past the tasks in between
                start, end = (x - ARTIFACT[0] / 2, below - ARTIFACT[1] / 2), (middle - TASK[0] / 2, y)
                lines.append(bypass(start, end, lanes[producer, key]))
        if tasks[name].get("dependentTasks") and not reads(tasks[name]):
            lines.append(line(last, top, "waits"))
        opens = "dag" in spec["components"][tasks[name]["componentRef"]["name"]]
        parts.append(node(f"{name} +" if opens else name, (middle, y), TASK, "task"))
        # what is read further below stands outermost on the left
        made = sorted(outputs(spec, tasks[name]), key=lambda key: ((name, key) not in read, key))
        last, y = (middle, y + TASK[1] / 2), y + ROW
        for i, key in enumerate(made):
            at = (middle + (i - (len(made) - 1) / 2) * (ARTIFACT[0] + 12), y)
            parts.append(node(key, at, ARTIFACT, "artifact"))
            lines.append(line(last, (at[0], at[1] - ARTIFACT[1] / 2)))
            places[name, key] = (at[0], at[1] + ARTIFACT[1] / 2)
        y += ROW if made else 0
    return [*lines, *parts, f"<!--{y:g}-->"]


def draw(text: str) -> str:
    """The picture of a compiled pipeline."""
    spec, _ = load_documents(text)
    root, inner = spec["root"]["dag"]["tasks"], spec["components"]["comp-steps"]["dag"]["tasks"]
    most = max(len(outputs(spec, task)) for task in inner.values())
    first, second = TASK[0] + 2 * MARGIN + 40, most * (ARTIFACT[0] + 12) + 2 * MARGIN + 40
    parts = level(spec, root, 0, first, "the run")
    parts += level(spec, inner, first, second, "behind “steps +”")
    height = max(float(part[4:-3]) for part in parts if part.startswith("<!--")) + MARGIN
    style = (
        "text{font:13px system-ui,sans-serif;text-anchor:middle;fill:#222}.title{font-weight:700;fill:#555}"
        ".task{fill:#fff;stroke:#1a73e8}.task-name{font-weight:600}.artifact{fill:#fdf6e3;stroke:#b58900}"
        ".artifact-name{font-size:11px;fill:#5c4500}.edge{fill:none;stroke:#99a;stroke-width:1.3}"
        ".waits{stroke-dasharray:4 3}"
    )
    names = ", ".join(in_order(inner))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {first + second} {height:g}" width="{first + second}" '
        f'height="{height:g}" role="img" aria-label="Kubeflow&apos;s run page: {names}, then the exit task">\n'
        f'<style>{style}</style>\n<rect width="100%" height="100%" fill="#fff"/>\n'
        f'<path d="M{first} {MARGIN} V{height - MARGIN:g}" stroke="#ddd"/>\n'
        + "\n".join(part for part in parts if not part.startswith("<!--"))
        + "\n</svg>\n"
    )


if __name__ == "__main__":
    sys.exit(write_picture(draw, TARGET, __doc__))
