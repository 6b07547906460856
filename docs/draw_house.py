"""Draws docs/images/house.svg: the floors and rooms of the code, from the folders as they are.

Run it after a folder has come or gone: `python docs/draw_house.py`. A test holds the picture against the folders.
"""

from __future__ import annotations

import argparse
import sys
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = Path(__file__).parent / "images" / "house.svg"
ORDER = ["ingest", "split", "records", "train", "calibrate", "export", "evaluate"]  # as data flows; new ones behind
# Rooms of common by layer: none imports from a layer above it.
LAYERS = [["bundle"], ["artifacts", "imaging"], ["storage"], ["statistics", "runtime"]]
WIDTH, MARGIN, ROW, PAD = 960, 20, 44, 10
FLOORS = [("pipelines", "#fdf3e3", "#8a5a00"), ("components: steps", "#e8f0e3", "#3d6b22"), ("", "#eef3f8", "#2b5876")]


def rooms(folder: str) -> list[str]:
    """Names of the packages directly below a folder, steps in the order of the data."""
    found = {path.parent.name for path in (ROOT / folder).glob("*/__init__.py")}
    known = [name for name in ORDER if name in found]
    return known + sorted(found - set(known) - {"common"})


def row(names: list[str], top: int, ink: str) -> str:
    """A line of boxes of equal width."""
    inner = WIDTH - 2 * MARGIN - 2 * PAD
    wide = (inner - (len(names) - 1) * 8) / len(names)
    parts = []
    for i, name in enumerate(names):
        left = MARGIN + PAD + i * (wide + 8)
        parts.append(
            f'<rect x="{left:.1f}" y="{top}" width="{wide:.1f}" height="30" rx="5" fill="#fff" stroke="{ink}"/>'
            f'<text x="{left + wide / 2:.1f}" y="{top + 20}" text-anchor="middle">{escape(name)}</text>'
        )
    return "".join(parts)


def floor(title: str, rows: list[list[str]], top: int, colours: tuple[str, str]) -> tuple[str, int]:
    """A floor with its rows of rooms, and where the next one begins."""
    fill, ink = colours
    height = 30 + len(rows) * ROW
    parts = [
        f'<rect x="{MARGIN}" y="{top}" width="{WIDTH - 2 * MARGIN}" height="{height}" rx="8" fill="{fill}" '
        f'stroke="{ink}"/><text x="{MARGIN + PAD}" y="{top + 20}" class="floor" fill="{ink}">{escape(title)}</text>'
    ]
    parts += [row(names, top + 30 + i * ROW, ink) for i, names in enumerate(rows)]
    return "".join(parts), top + height + 34


def draw() -> str:
    """The picture."""
    modules = sorted(path.stem for path in (ROOT / "pipelines").glob("*.py") if path.stem != "__init__")
    loose = set(rooms("components/common")) - {name for layer in LAYERS for name in layer}
    if loose:
        raise SystemExit(f"error: rooms of common without a layer: {', '.join(sorted(loose))}")
    floors = [
        ("pipelines: the DAG, and commands", [modules, [name for name in rooms("pipelines") if name != "configs"]]),
        ("components: one folder per step; no step knows another", [rooms("components")]),
        ("components/common: nobody imports upward", LAYERS),
    ]
    parts, top = [], MARGIN
    for (title, lines), (_, fill, ink) in zip(floors, FLOORS, strict=True):
        text, below = floor(title, lines, top, (fill, ink))
        parts.append(text)
        if title != floors[-1][0]:
            parts.append(f'<path d="M{WIDTH / 2} {below - 32} V{below - 5}" class="down" marker-end="url(#tip)"/>')
        top = below
    height = top - 34 + MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'role="img" aria-label="Three floors: pipelines over steps over the rooms of common">\n'
        "<style>text{font:13px system-ui,sans-serif;fill:#222}.floor{font-weight:700;font-size:14px}"
        ".down{stroke:#556;stroke-width:2}</style>\n"
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="8" markerHeight="8" orient="auto" '
        'markerUnits="userSpaceOnUse"><path d="M0 0L8 4L0 8z" fill="#556"/></marker></defs>\n'
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=TARGET)
    sys.exit(0 if parser.parse_args().out.write_text(draw(), encoding="utf-8") else 1)
