"""The tests of the monitor: each bets against "nothing has changed", and keeps its false-alarm rate over all looks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from components.common.statistics.betting import (
    change_capital,
    conformal_p_values,
    lower_capital,
    too_often_capital,
)
from components.common.statistics.numeric import Floats
from components.monitor.config import MonitorConfig
from components.monitor.log import Log
from components.monitor.reference import Reference

Subject = Literal["malignant_scores", "benign_scores", "scores", "distances", "refused"]
SUBJECTS: tuple[Subject, ...] = ("malignant_scores", "benign_scores", "scores", "distances", "refused")
WORDS: dict[Subject, str] = {
    "malignant_scores": "malignant images score lower than before (labels)",
    "benign_scores": "scores of benign images have changed (labels)",
    "scores": "scores have changed",
    "distances": "images are farther from or nearer to the training images",
    "refused": "more is refused as not dermoscopic than by design",
}
LABELLED: tuple[Subject, ...] = ("malignant_scores", "benign_scores")  # these come when the label comes
OTHERS = "other sources"


@dataclass(frozen=True)
class Watch:
    """One test on one source.

    Attributes:
        subject: what is watched.
        source: which source; empty for all together.
        images: number of images it has seen, one per group.
        reference: number of images it was compared with at first.
        limit: capital at which it raises the alarm: 1 / its part of alpha.
        capital: the largest so far.
        alarm: position in the log of the image at which it raised the alarm; None if it has not.
        after: images it had seen then.
        curve: (k,) its capital, thinned for the page.
        at: (k,) position in the log of each point.
    """

    subject: Subject
    source: str
    images: int
    reference: int
    limit: float
    capital: float
    alarm: int | None
    after: int | None
    curve: Floats
    at: npt.NDArray[np.intp]


def watch(config: MonitorConfig, log: Log, reference: Reference) -> list[Watch]:
    """Runs every test that the log has material for, over all of it; a longer log gives the same beginning."""
    found = []
    shares = 1 + (config.sources if (log.source != "").any() else 0)
    for source, inside, known in _sources(config, log, reference):
        for subject in SUBJECTS:
            series = _series(subject, log, reference, inside, known, config.seed)
            if series is not None:
                # lost sensitivity costs most: its test has the whole rate for each source; the others share it
                parts = 1 if subject == "malignant_scores" else shares * (len(SUBJECTS) - 1)
                found.append(_judged(subject, source, *series, parts / config.alpha))
    return found


def _sources(
    config: MonitorConfig, log: Log, reference: Reference
) -> Iterator[tuple[str, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]]:
    """Name, rows of the log and rows of the reference of everything that is watched; all together first."""
    yield "", np.ones(len(log), bool), reference.of_source("")
    names = list(dict.fromkeys(one for one in log.source.tolist() if one))
    for name in names[: config.sources - 1 if len(names) > config.sources else None]:
        yield name, log.source == name, reference.of_source(name)
    if len(names) > config.sources:
        rest = np.isin(log.source, names[config.sources - 1 :])
        yield OTHERS, rest, np.isin(reference.source, names[config.sources - 1 :])


def _series(
    subject: Subject,
    log: Log,
    reference: Reference,
    inside: npt.NDArray[np.bool_],
    known: npt.NDArray[np.bool_],
    seed: int,
) -> tuple[Floats, npt.NDArray[np.intp], int] | None:
    """Capital after each image, where in the log each is, and the size of the reference; None without material."""
    if subject == "refused":
        if reference.refused is None:
            return None
        at = log.first_of_group(inside)
        return too_often_capital(log.refused[at], reference.refused), at, 0
    if subject == "distances":
        at = log.first_of_group(inside & ~np.isnan(log.distance))
        # by source there is no reference: each is compared with its own past
        bag = reference.distance if known.all() else np.empty(0)
        return (change_capital(conformal_p_values(bag, log.distance[at], seed)), at, len(bag)) if len(at) else None
    label = {"malignant_scores": 1, "benign_scores": 0}.get(subject)
    rows = inside & log.answered
    if label == 1 and not (known & (reference.label == 1)).any():
        known = reference.of_source("")  # a source whose malignant images score lower than elsewhere has lost as much
    if label is not None:
        rows, known = rows & (log.label == label), known & (reference.label == label)
    at = log.first_of_group(rows)
    if label is not None:
        at = at[np.argsort(log.labelled[at], kind="stable")]  # as the labels came
    if not len(at):
        return None
    bag = reference.probability[known]
    p = conformal_p_values(bag, log.probability[at], seed)
    return (lower_capital(p, len(bag)) if label == 1 else change_capital(p)), at, len(bag)


def _judged(
    subject: Subject, source: str, capital: Floats, at: npt.NDArray[np.intp], compared: int, limit: float
) -> Watch:
    beyond = np.flatnonzero(capital >= limit)
    first = int(beyond[0]) if len(beyond) else None
    thin = np.unique(np.linspace(0, len(capital) - 1, min(len(capital), 300)).astype(np.intp))
    alarm, after = (int(at[first]), first + 1) if first is not None else (None, None)
    largest = float(capital.max())
    return Watch(subject, source, len(at), compared, limit, largest, alarm, after, capital[thin], at[thin])
