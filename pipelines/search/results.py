"""A search as a person reads it: a table and a picture of all trials, also of those that were stopped or failed."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from components.common.runtime.errors import LesionflowError
from components.common.runtime.svg import ALARM, MODEL, MUTED, new_axes, to_svg

_COLUMNS = ("trial", "state", "average_precision", "roc_auc", "best_epoch", "epochs", "seconds")


class SearchError(LesionflowError):
    """A search has no result."""


@dataclass(frozen=True)
class Trial:
    """One training of a search.

    Attributes:
        number: from 0, in the order they were begun.
        state: complete; stopped, below the median of those before; or failed, without a model.
        parameters: what was chosen, by the names of the fields of training.
        average_precision: on validation; of a stopped one the best epoch's; None for a failed one.
        roc_auc: the same; None unless complete.
        best_epoch: the epoch whose weights were judged, from 1; None unless complete.
        epochs: epochs that were trained.
        seconds: wall clock.
    """

    number: int
    state: str
    parameters: dict[str, Any]
    average_precision: float | None
    roc_auc: float | None
    best_epoch: int | None
    epochs: int
    seconds: float

    def record(self) -> dict[str, Any]:
        """As it stands in `search.json`."""
        return asdict(self)


def table_csv(trials: Sequence[Trial], names: Sequence[str]) -> str:
    """All trials as a table, one row per trial, in the order they were begun."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([*_COLUMNS, *names])
    for one in trials:
        figures = [one.average_precision, one.roc_auc]
        row = [one.number, one.state, *("" if value is None else f"{value:.4f}" for value in figures)]
        row += ["" if one.best_epoch is None else one.best_epoch, one.epochs, f"{one.seconds:.1f}"]
        writer.writerow([*row, *(one.parameters.get(name, "") for name in names)])
    return buffer.getvalue()


def table_lines(ranked: Sequence[Trial], most: int = 5) -> list[str]:
    """The best trials for a terminal, and how many there were of each kind."""
    counts = {state: sum(one.state == state for one in ranked) for state in ("complete", "stopped", "failed")}
    said = ", ".join(f"{n} {state}" for state, n in counts.items() if n)
    lines = [f"{len(ranked)} trials: {said}; the test split was not read"]
    for one in [one for one in ranked if one.state == "complete"][:most]:
        chosen = ", ".join(f"{name} {_short(value)}" for name, value in one.parameters.items())
        lines.append(f"  trial {one.number:<4} average precision {one.average_precision:.4f}  {chosen}")
    return lines


def trials_svg(trials: Sequence[Trial]) -> str:
    """Average precision of every trial in the order they were begun, and the best so far."""
    figure, axes = new_axes(6.4, 3.8)
    for state, marker, colour in (("complete", "o", MODEL), ("stopped", "v", ALARM)):
        points = [(one.number, one.average_precision) for one in trials if one.state == state]
        if points:
            numbers, figures = zip(*points, strict=True)
            axes.scatter(numbers, figures, marker=marker, color=colour, s=24, label=state, zorder=3)
    figures_so_far = [one.average_precision or 0.0 if one.state == "complete" else 0.0 for one in trials]
    best = [top or float("nan") for top in itertools.accumulate(figures_so_far, max)]
    axes.step([one.number for one in trials], best, where="post", color=MUTED, linewidth=1.2, label="best so far")
    axes.set(xlabel="trial", ylabel="average precision on validation")
    axes.set_title(f"{len(trials)} trials")
    figure.legend(loc="outside lower center", ncols=3)
    return to_svg(figure, f"Average precision on validation of {len(trials)} trials")


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
