"""The page of the monitor: the answer, what was watched, and figures by week and source; one file, no script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from components.common.artifacts.presentation import DASH, estimate_text, percent_text
from components.common.runtime.svg import INK, MALIGNANT, MODEL, MUTED, new_axes, to_svg
from components.common.statistics.intervals import Interval
from components.monitor.performance import Between, Row
from components.monitor.watches import WORDS, Watch


@dataclass(frozen=True)
class Told:
    """Everything the page says.

    Attributes:
        policy_id: the bundle's policy.
        threshold: probability from which it predicts malignant.
        site: the site it was adjusted for; empty otherwise.
        alpha: accepted probability of a false alarm.
        reference: what the predictions are compared with, for people.
        images: predictions that were read.
        span: from when to when.
        labelled: images with a label.
        alarms: sentences, the earliest first.
        notes: what a reader must know about the log.
        power: what the labels of each source can show.
        watches: every test.
        periods: rows by week or block.
        sources: all together, then by source.
    """

    policy_id: str
    threshold: float
    site: str
    alpha: float
    reference: str
    images: int
    span: str
    labelled: int
    alarms: Sequence[str]
    notes: Sequence[str]
    power: Sequence[str]
    watches: Sequence[Watch]
    periods: Sequence[Row]
    sources: Sequence[Row]


def page_html(told: Told) -> str:
    """The page."""
    return str(_template().render(told=told, words=WORDS, evidence=_evidence(told), periods=_periods(told)))


def _evidence(told: Told) -> str:
    """How close each test is to its alarm, over the images of the log."""
    figure, axes = new_axes(7.2, 3.4)
    loudest = sorted(told.watches, key=lambda one: one.capital / one.limit, reverse=True)[:6]
    for k, one in enumerate(loudest):
        share = np.log10(np.maximum(one.curve, 1e-12)) / np.log10(one.limit)
        name = f"{one.source or 'all'}: {WORDS[one.subject].removesuffix(' (labels)')}"
        colour, line = (MALIGNANT if one.alarm is not None else MUTED), ("-", "--", ":")[k % 3]
        axes.plot(
            np.sort(one.at) + 1, share[np.argsort(one.at)], label=name, linewidth=1.4, color=colour, linestyle=line
        )
    axes.axhline(1.0, color=INK, linewidth=1, linestyle="--")
    axes.set(xlabel="image of the log", ylabel="evidence of change (1 is the alarm)", ylim=(-1.05, None))
    _legend_above(axes, 1)
    return to_svg(figure, "Evidence of change over the images of the log, one line per test")


def _periods(told: Told) -> str:
    """Predicted positive rate and refused share over time."""
    from matplotlib.ticker import MaxNLocator

    figure, axes = new_axes(7.2, 2.8)
    at = np.arange(len(told.periods))
    positive = [np.nan if one.positive is None else 100 * one.positive for one in told.periods]
    axes.plot(at, positive, color=MODEL, marker="o", markersize=3, label="predicted positive rate")
    refused = [100 * one.refused for one in told.periods]
    axes.plot(at, refused, color=MUTED, marker="s", markersize=3, label="refused or not readable")
    axes.set(ylabel="percent", ylim=(0, 100), xlabel="weeks or blocks, the first one on the left")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _legend_above(axes, 2)
    return to_svg(figure, "Predicted positive rate and refused share over time")


def _legend_above(axes: Any, columns: int) -> None:
    """Beside the lines, where it hides none of them."""
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.01), borderaxespad=0, ncols=columns, fontsize=8)


def _between(value: float | None, between: Between | None = None) -> str:
    return estimate_text(Interval(value, *(between or (None, None))))


def _counted(found: int, of: int, between: Between | None) -> str:
    return DASH if between is None else f"{found} of {of}, {_between(found / of, between)}"


def _capital(value: float) -> str:
    return "over 1,000,000" if value > 1e6 else f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


@cache
def _template() -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("components.monitor", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent_text, "between": _between, "capital": _capital}
    environment.globals |= {"counted": _counted}
    return environment.get_template("monitor.html.j2")
