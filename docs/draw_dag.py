"""Draws docs/images/dag.svg from the compiled pipeline: its tasks and who reads whose output.

Run it after a change to the DAG: `python docs/draw_dag.py`. A test holds the picture against the pipeline.
"""

from __future__ import annotations

import sys
from html import escape
from pathlib import Path
from typing import Any

from picture import write_picture

from pipelines.cluster_file import EXIT_TASK
from pipelines.ir import load_documents, step_tasks

TARGET = Path(__file__).parent / "images" / "dag.svg"
# step: (column, row, what it does, what it writes, where it runs)
BOXES = {
    "check": (0, 0, "parameters and inputs", "config of every step", "CPU"),
    "ingest": (1, 0, "checks every image", "index.parquet", "CPU"),
    "split": (2, 0, "by lesion, audited", "split.csv", "CPU"),
    "feasibility": (3, 0, "enough for calibration?", "go on, or ways out", "CPU"),
    "records": (4, 0, "TFRecords, integrity", "manifest.json", "CPU"),
    "train": (4, 1, "picks by exact AP", "model.keras", "GPU"),
    "calibrate": (3, 1, "probability, threshold", "decision_policy.json", "CPU"),
    "export": (2, 1, "JPEG bytes to decision", "SavedModel bundle", "CPU"),
    "evaluate": (1, 1, "test set, opened once", "report.html", "CPU"),
    "gate": (0, 1, "release conditions", "pass or fail", "CPU"),
}
WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN = 190, 92, 50, 74, 24
MAIN = [*zip(BOXES, list(BOXES)[1:], strict=False)]


def edges(text: str) -> list[tuple[str, str]]:
    """Pairs (producer, consumer) of tasks in a compiled pipeline, sorted.

    Every step reads its configuration from the first task; of these only the line to the next step is drawn. What
    only waits for another task has a line as well.
    """
    tasks = steps(text)
    found = {
        (source["taskOutputArtifact"]["producerTask"], name)
        for name, task in tasks.items()
        for source in task.get("inputs", {}).get("artifacts", {}).values()
    }
    return sorted(found | {("check", "ingest"), ("feasibility", "records")})


def steps(text: str) -> dict[str, Any]:
    """The steps' tasks; the exit task reads nobody's output and is left out."""
    return {name: task for name, task in step_tasks(load_documents(text)[0]).items() if name != EXIT_TASK}


def corner(step: str) -> tuple[int, int]:
    """Upper left corner of a step's box, in pixels."""
    column, row = BOXES[step][:2]
    return MARGIN + column * (WIDTH + GAP_X), MARGIN + row * (HEIGHT + GAP_Y)


def box(step: str) -> str:
    """A step's box: name, what it does, what it writes, where it runs."""
    x, y = corner(step)
    _, _, does, writes, where = BOXES[step]
    fill, ink = ("#e8f0e3", "#3d6b22") if where == "GPU" else ("#eef3f8", "#2b5876")
    return (
        f'<g><rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="8" fill="{fill}" stroke="{ink}"/>'
        f'<text x="{x + 14}" y="{y + 27}" class="name">{escape(step)}</text>'
        f'<text x="{x + WIDTH - 14}" y="{y + 27}" class="where" text-anchor="end" fill="{ink}">{where}</text>'
        f'<text x="{x + 14}" y="{y + 51}">{escape(does)}</text>'
        f'<text x="{x + 14}" y="{y + 74}" class="file">{escape(writes)}</text></g>'
    )


def arrow(start: str, end: str) -> str:
    """An arrow between two boxes: straight along the main chain, thin and curved for the other readers."""
    (x1, y1), (x2, y2) = corner(start), corner(end)
    if (start, end) in MAIN:
        if y1 == y2:
            right = x2 > x1
            path = f"M{x1 + (WIDTH if right else 0)} {y1 + HEIGHT / 2:g} H{x2 + (-4 if right else WIDTH + 4)}"
        else:
            path = f"M{x1 + WIDTH / 2:g} {y1 + HEIGHT} V{y2 - 4}"
        return f'<path d="{path}" class="main" marker-end="url(#tip)"/>'
    shift = 12 * (list(BOXES).index(start) - 3)
    if y1 == y2:  # along the lower row, below the boxes
        sx, ex, y, low = x1 + WIDTH / 2, x2 + WIDTH / 2, y1 + HEIGHT, y1 + HEIGHT + 34
        path = f"M{sx:g} {y} C{sx:g} {low} {ex:g} {low} {ex:g} {y + 4}"
    else:
        sx, ex, mid = x1 + WIDTH / 2 + shift, x2 + WIDTH / 2 + shift, (y1 + HEIGHT + y2) / 2
        path = f"M{sx:g} {y1 + HEIGHT} C{sx:g} {mid + 18:g} {ex:g} {mid - 18:g} {ex:g} {y2 - 4}"
    return f'<path d="{path}" class="extra" marker-end="url(#tip)"/>'


def draw(text: str) -> str:
    """The picture of a compiled pipeline.

    Raises:
        KeyError: the pipeline has a task that the picture does not know.
    """
    width = 2 * MARGIN + 5 * WIDTH + 4 * GAP_X
    height = 2 * MARGIN + 2 * HEIGHT + GAP_Y + 12
    parts = [arrow(*pair) for pair in edges(text)] + [box(step) for step in steps(text)]
    style = (
        "text{font:13px system-ui,sans-serif;fill:#333}.name{font-weight:700;font-size:16px;fill:#111}"
        ".where{font-size:11px;font-weight:700}.file{font-family:ui-monospace,monospace;font-size:12px;fill:#555}"
        ".main{stroke:#445;stroke-width:2;fill:none}.extra{stroke:#99a;stroke-width:1.2;fill:none}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="The pipeline: {", ".join(BOXES)}">\n'
        f"<style>{style}</style>\n"
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="8" markerHeight="8" orient="auto" '
        'markerUnits="userSpaceOnUse"><path d="M0 0L8 4L0 8z" fill="#556"/></marker></defs>\n'
        f'<rect width="{width}" height="{height}" fill="#fff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


if __name__ == "__main__":
    sys.exit(write_picture(draw, TARGET, __doc__))
