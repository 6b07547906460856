"""Draws docs/images/house.svg: the floors and rooms of the code, as the import contracts in pyproject.toml have them.

Run it after a folder has come or gone, or a contract has changed: `python docs/draw_house.py`. A test holds the
picture against the contracts and the folders.
"""

from __future__ import annotations

import argparse
import tomllib
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = Path(__file__).parent / "images" / "house.svg"
WIDTH, MARGIN, ROW, PAD = 960, 20, 44, 10
COLOURS = [("#fdf3e3", "#8a5a00"), ("#e8f0e3", "#3d6b22"), ("#eef3f8", "#2b5876")]


def layers(container: str) -> list[list[str]]:
    """Rows of packages, the upper ones importing the lower ones, of the layers contract that names a container.

    Args:
        container: `components.common`, or empty for the contract of the whole repository.
    """
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = [one for one in settings["tool"]["importlinter"]["contracts"] if one["type"] == "layers"]
    (rows,) = (one["layers"] for one in contracts if one.get("containers", [""]) == [container])
    return [[name.strip() for name in row.split("|")] for row in rows]


def packages(folder: str) -> set[str]:
    """Names of the packages directly below a folder."""
    return {path.parent.name for path in (ROOT / folder).glob("*/__init__.py")}


def floors() -> list[tuple[str, list[list[str]]]]:
    """Title and rows of each floor, from top to bottom."""
    steps = [[name.removeprefix("components.") for name in row] for row in layers("")[1:-1]]
    common = layers("components.common")
    for folder, drawn in (("components", [*steps, ["common"]]), ("components/common", common)):
        if packages(folder) != {name for row in drawn for name in row}:
            raise SystemExit(f"error: {folder} has {sorted(packages(folder))}; the import contracts have {drawn}")
    return [
        (
            "pipelines: the DAG, and commands",
            [["the DAG: parameters, placement, compile"], sorted(packages("pipelines"))],
        ),
        ("components: one folder per step; no step knows another, validate knows evaluate", steps),
        ("components/common: nobody imports upward", common),
    ]


def row(names: list[str], top: int, ink: str) -> str:
    """A line of boxes of equal width."""
    inner = WIDTH - 2 * MARGIN - 2 * PAD
    wide = (inner - (len(names) - 1) * 8) / len(names)
    parts = []
    for i, name in enumerate(names):
        left = MARGIN + PAD + i * (wide + 8)
        parts.append(
            f'<rect x="{left:.1f}" y="{top}" width="{wide:.1f}" height="30" rx="5" fill="#fff" stroke="{ink}"/>'
            f'<text x="{left + wide / 2:.1f}" y="{top + 20}" text-anchor="middle">{escape(name)}</text>\n'
        )
    return "".join(parts)


def draw() -> str:
    """The picture."""
    parts, top = [], MARGIN
    for (title, rows), (fill, ink) in zip(floors(), COLOURS, strict=True):
        if parts:
            parts.append(f'<path d="M{WIDTH / 2} {top - 32} V{top - 5}" class="down" marker-end="url(#tip)"/>\n')
        height = 30 + len(rows) * ROW
        parts.append(
            f'<rect x="{MARGIN}" y="{top}" width="{WIDTH - 2 * MARGIN}" height="{height}" rx="8" fill="{fill}" '
            f'stroke="{ink}"/><text x="{MARGIN + PAD}" y="{top + 20}" class="floor" fill="{ink}">{escape(title)}</text>'
            "\n"
        )
        parts += [row(names, top + 30 + i * ROW, ink) for i, names in enumerate(rows)]
        top += height + 34
    height = top - 34 + MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'role="img" aria-label="Three floors: pipelines over steps over the rooms of common">\n'
        "<style>text{font:13px system-ui,sans-serif;fill:#222}.floor{font-weight:700;font-size:14px}"
        ".down{stroke:#556;stroke-width:2}</style>\n"
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="8" markerHeight="8" orient="auto" '
        'markerUnits="userSpaceOnUse"><path d="M0 0L8 4L0 8z" fill="#556"/></marker></defs>\n'
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>\n' + "".join(parts) + "</svg>\n"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=TARGET)
    parser.parse_args().out.write_text(draw(), encoding="utf-8")
