"""Figures as SVG text: one quiet style, the same bytes for the same numbers, legible on a phone."""

from __future__ import annotations

import io
import re
import zlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, GRID = "#1f2933", "#616e7c", "#e4e7eb"
# Told apart with every kind of colour blindness where they stand together: tests/components/evaluate/test_colours.py
MODEL, MALIGNANT, BENIGN, ALARM, BAND = "#1d4e89", "#c2410c", "#3f8fc0", "#e8b44c", "#9fb8d6"

_STYLE: dict[Any, Any] = {
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.8,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "svg.fonttype": "path",  # text as shapes: looks the same without the font
    "svg.hashsalt": "lesionflow",
}


def new_axes(width: float = 4.8, height: float = 3.8) -> tuple[Figure, Axes]:
    """A figure of `width` x `height` inches with one pair of axes, in the common style."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcdefaults()  # a personal matplotlibrc must not change the report
    mpl.rcParams.update(_STYLE)
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def to_svg(figure: Figure, title: str) -> str:
    """The figure as an SVG element with `title` for screen readers; no date, no tool version in it."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    # hundredths of a point: a third of the size, same picture; glyph scales need all their digits
    svg = re.sub(r"scale\([^)]*\)|(\d+\.\d{2})\d+", lambda found: found[1] or found[0], svg)
    svg = _own_ids(svg, f"{zlib.crc32(svg.encode()):08x}")
    label = title.replace("&", "and").replace('"', "'").replace("<", "below")
    return svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)


def _own_ids(svg: str, mark: str) -> str:
    """Ids that no other figure of a page has; those that nothing refers to are left out."""
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg))
    svg = re.sub(r' id="([^"]+)"', lambda found: f' id="{found[1]}-{mark}"' if found[1] in used else "", svg)
    return re.sub(r'(href="#|url\(#)([^")]+)', rf"\1\2-{mark}", svg)
