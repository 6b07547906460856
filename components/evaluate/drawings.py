"""Small SVG drawings: one square per lesion, and a slice's line in the forest plot."""

from __future__ import annotations

from collections.abc import Sequence

from components.common.artifacts.estimate import HasInterval
from components.common.runtime.svg import GRID, MODEL, MUTED

_LEFT, _WIDTH = 4, 112  # of the forest plot's 0 to 1 scale, in a view of 120
_TICKS = (0, 0.25, 0.5, 0.75, 1)


def thousand_svg(parts: Sequence[tuple[int, str]], label: str) -> str:
    """1,000 squares, one per lesion, coloured part by part, all outlined; written as SVG directly to stay small."""
    columns, step, size, edge = 50, 8, 6.2, 0.7
    paths, start = [], 0
    for count, colour in parts:
        moves = "".join(
            f"M{step * (i % columns) + edge:g} {step * (i // columns) + edge:g}h{size}v{size}h-{size}z"
            for i in range(start, start + count)
        )
        paths.append(f'<path fill="{colour}" stroke="{MUTED}" stroke-width="0.5" d="{moves}"/>' if moves else "")
        start += count
    rows = -(-start // columns)
    return (
        f'<svg role="img" aria-label="{label}" viewBox="0 0 {columns * step} {rows * step}" '
        f'xmlns="http://www.w3.org/2000/svg">{"".join(paths)}</svg>'
    )


def interval_svg(found: HasInterval, enough: bool, overall: float | None = None) -> str:
    """One row of a forest plot: a line from lower to upper on a 0 to 1 scale, a dot at the value.

    Args:
        found: value, lower, upper.
        enough: grey where False.
        overall: the same figure of all images, as a dashed line to compare with.
    """
    if found.value is None:
        return ""
    colour, line = MODEL if enough else MUTED, ""
    if found.lower is not None and found.upper is not None:
        line = f'<path d="M{_at(found.lower)} 8H{_at(found.upper)}" stroke="{colour}" stroke-width="2"/>'
    whole = f'<path d="M{_at(overall)} 0v16" stroke="{MUTED}" stroke-dasharray="2 2"/>' if overall is not None else ""
    return (
        f'<svg class="forest" viewBox="0 0 120 16" aria-hidden="true">{_ticks()}{whole}{line}'
        f'<circle cx="{_at(found.value)}" cy="8" r="3.5" fill="{colour}"/></svg>'
    )


def scale_svg() -> str:
    """The scale over a column of `interval_svg`."""
    words = "".join(
        f'<text x="{_at(t)}" y="10" font-size="12" fill="{MUTED}" text-anchor="middle">{t:g}</text>'
        for t in (0, 0.5, 1)
    )
    return f'<svg class="forest" viewBox="0 0 120 16" aria-hidden="true">{_ticks(12)}{words}</svg>'


def _ticks(top: int = 1) -> str:
    return "".join(f'<path d="M{_at(t)} {top}V15" stroke="{GRID}"/>' for t in _TICKS)


def _at(share: float) -> str:
    return f"{_LEFT + _WIDTH * share:.1f}"
