"""Shares and rates of a log: as logged, as expected without labels, and as observed with labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

from components.common.statistics.betting import share_interval
from components.common.statistics.numeric import Floats
from components.common.statistics.resampling import group_codes, group_counts
from components.monitor.config import MonitorConfig
from components.monitor.log import Log

_RESAMPLES = 500
Between = tuple[float, float]


@dataclass(frozen=True)
class Expected:
    """Confidence-based estimates, from probabilities alone; None without images.

    Attributes:
        sensitivity: expected share of malignant images that are predicted malignant.
        ppv: expected malignant share of those.
        prevalence: expected malignant share of all.
    """

    sensitivity: float | None
    ppv: float | None
    prevalence: float | None


@dataclass(frozen=True)
class Observed:
    """Counts of labelled images at the threshold, and the rates with intervals that hold at all looks together.

    An image that was refused as not dermoscopic goes to a person: a malignant one is found, a benign one not cleared.
    """

    malignant: int
    found: int
    benign: int
    cleared: int
    sensitivity: Between | None
    specificity: Between | None
    ppv: float | None


@dataclass(frozen=True)
class Row:
    """One period or source.

    Attributes:
        name: for people.
        images: number of rows.
        refused: share without a probability.
        reasons: statuses of those, by count.
        positive: share of those that count at the threshold that was predicted malignant, refused as not dermoscopic
            included: they go to a person, as in evaluation and validation.
        expected: without labels.
        expected_between: 95 % intervals of expected sensitivity and PPV, from resampled groups; None in short rows.
        observed: with labels; None without any.
    """

    name: str
    images: int
    refused: float
    reasons: dict[str, int]
    positive: float | None
    expected: Expected
    expected_between: tuple[Between, Between] | None
    observed: Observed | None


def expected_rates(probability: Floats, malignant: npt.NDArray[np.bool_], weight: Floats | None = None) -> Expected:
    """What calibrated probabilities say about a threshold: sums of them in place of counts.

    Confidence-based performance estimation (CBPE, described in Bialek et al. 2024, arXiv:2401.08348): the expected
    number of malignant images among those predicted malignant is the sum of their probabilities. True as long as the
    probabilities are; a change in what malignant images look like leaves it as it was.

    Args:
        probability: (n,) P(malignant).
        malignant: (n,) whether predicted malignant.
        weight: (n,) weight of each image; 1 without.

    >>> expected_rates(np.array([0.9, 0.5, 0.1]), np.array([True, True, False]))
    Expected(sensitivity=0.9333333333333333, ppv=0.7, prevalence=0.5)
    """
    w = np.ones(len(probability)) if weight is None else weight
    everything, called, total = float(w @ probability), float(w[malignant].sum()), float(w.sum())
    right = float(w[malignant] @ probability[malignant])
    return Expected(
        right / everything if everything > 0 else None,
        right / called if called > 0 else None,
        everything / total if total > 0 else None,
    )


def by_period(config: MonitorConfig, log: Log) -> list[Row]:
    """A row per calendar week (Monday, UTC), or per block of images in a log without times."""
    return [row_of(name, log, rows, config.alpha) for name, rows in _periods(config, log)]


def by_source(config: MonitorConfig, log: Log) -> list[Row]:
    """All together, then a row per source."""
    names = [one for one in dict.fromkeys(log.source.tolist()) if one]
    rows = [("all", np.ones(len(log), bool)), *((name, log.source == name) for name in names)]
    return [row_of(name, log, inside, config.alpha, seed=config.seed) for name, inside in rows]


def row_of(name: str, log: Log, rows: npt.NDArray[np.bool_], alpha: float, seed: int | None = None) -> Row:
    """Shares and rates of some rows of the log; with a seed also the intervals of what is expected."""
    answered, decided = rows & log.answered, rows & log.decided
    probability, malignant = log.probability[answered], log.malignant[answered]
    reasons, counts = np.unique(log.status[rows & ~log.answered], return_counts=True)
    between = None
    if seed is not None and len(probability):
        between = _between(probability, malignant, log.group[answered], seed)
    return Row(
        name,
        int(rows.sum()),
        float(1 - answered.sum() / rows.sum()),
        {str(reason): int(count) for reason, count in zip(reasons, counts, strict=True)},
        float(log.malignant[decided].mean()) if decided.any() else None,
        expected_rates(probability, malignant),
        between,
        _observed(log, decided, alpha),
    )


def _observed(log: Log, decided: npt.NDArray[np.bool_], alpha: float) -> Observed | None:
    known = decided & (log.label >= 0)
    if not known.any():
        return None
    found = log.malignant[known & (log.label == 1)]
    cleared = ~log.malignant[known & (log.label == 0)]
    called = int(found.sum() + (~cleared).sum())
    return Observed(
        len(found),
        int(found.sum()),
        len(cleared),
        int(cleared.sum()),
        share_interval(found, alpha) if len(found) else None,
        share_interval(cleared, alpha) if len(cleared) else None,
        float(found.sum() / called) if called else None,
    )


def _between(
    probability: Floats, malignant: npt.NDArray[np.bool_], group: npt.NDArray[np.str_], seed: int
) -> tuple[Between, Between]:
    codes, groups = group_codes(group)
    drawn = [
        expected_rates(probability, malignant, counts[codes].astype(np.float64))
        for block in group_counts(groups, _RESAMPLES, seed)
        for counts in block.T
    ]
    pairs = np.array([(one.sensitivity or np.nan, one.ppv or np.nan) for one in drawn])
    (a, b), (c, d) = np.nanquantile(pairs, [0.025, 0.975], axis=0).T
    return (float(a), float(b)), (float(c), float(d))


def _periods(config: MonitorConfig, log: Log) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
    if np.isnan(log.time).any():
        for start in range(0, len(log), config.block):
            end = min(start + config.block, len(log))
            rows = np.zeros(len(log), bool)
            rows[start:end] = True
            yield f"images {start + 1} to {end}", rows
        return
    days = [datetime.fromtimestamp(one, UTC).date() for one in log.time.tolist()]
    weeks = np.array([(day - timedelta(days=day.weekday())).isoformat() for day in days])
    for week in np.unique(weeks):
        yield f"week of {week}", weeks == week
