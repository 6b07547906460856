"""The integrity check: what was expected, found and lost, and whether the loss may be accepted."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from scipy.stats import fisher_exact

from components.common.artifacts.records_manifest import Lost
from components.common.runtime.errors import DataError
from components.records.prepare import Source

_CLASSES = ("benign", "malignant")
_BATCH = 100  # lost images per log line
_NAMED = 5  # of which so many are named
_MAX_P = 0.01
_MIN_LOST = 5

log = logging.getLogger(__name__)


class LossLog:
    """Collects lost images and logs them batch by batch while images are prepared."""

    def __init__(self) -> None:
        self.lost: list[Lost] = []
        self._batch: list[Lost] = []

    def add(self, lost: Lost) -> None:
        """Notes one lost image."""
        self.lost.append(lost)
        self._batch.append(lost)
        if len(self._batch) >= _BATCH:
            self.flush()

    def flush(self) -> None:
        """Logs what has not been logged yet."""
        if not self._batch:
            return
        named = ", ".join(f"{one.image_id} ({one.reason})" for one in self._batch[:_NAMED])
        more = len(self._batch) - _NAMED
        splits = "/".join(sorted({one.split for one in self._batch}))
        log.warning(
            "%d images lost in %s: %s%s", len(self._batch), splits, named, f" and {more} more" if more > 0 else ""
        )
        self._batch = []


@dataclass(frozen=True)
class Tally:
    """Images of one split, each a pair (benign, malignant)."""

    expected: tuple[int, int]
    found: tuple[int, int]

    @property
    def lost(self) -> tuple[int, int]:
        """Expected less found."""
        return self.expected[0] - self.found[0], self.expected[1] - self.found[1]

    def __add__(self, other: Tally) -> Tally:
        e, f = zip(self.expected, other.expected, strict=True), zip(self.found, other.found, strict=True)
        return Tally((sum(next(e)), sum(next(e))), (sum(next(f)), sum(next(f))))


def tallies_of(sources: Mapping[str, Iterable[Source]], gone: Collection[str]) -> dict[str, Tally]:
    """Counts the images of each split; `gone` are the ids of those lost."""
    out = {}
    for split, images in sources.items():
        expected, found = [0, 0], [0, 0]
        for one in images:
            expected[one.label] += 1
            found[one.label] += one.image_id not in gone
        out[split] = Tally((expected[0], expected[1]), (found[0], found[1]))
    return out


def total(tallies: Iterable[Tally]) -> Tally:
    """All splits together."""
    return sum(tallies, Tally((0, 0), (0, 0)))


def check_loss(sources: Mapping[str, Iterable[Source]], losses: LossLog, max_lost_pct: float) -> dict[str, Tally]:
    """Logs what was lost as a table and by reason, and stops if it is too much or differs between the classes.

    Returns:
        The images of each split, counted.

    Raises:
        DataError: the loss may not be accepted.
    """
    losses.flush()
    tallies = tallies_of(sources, {one.image_id for one in losses.lost})
    _log_table(tallies)
    if losses.lost:
        kinds = Counter(one.reason.split(":")[0] for one in losses.lost).most_common()
        log.info("lost by reason: %s", ", ".join(f"{kind} {n}" for kind, n in kinds))
    refuse_loss(total(tallies.values()), max_lost_pct)
    return tallies


def _log_table(tallies: dict[str, Tally]) -> None:
    """Logs the integrity table, one line per split and one for all."""
    log.info(
        "integrity  %9s %9s %9s %8s %12s %15s", "expected", "found", "lost", "lost %", "lost benign", "lost malignant"
    )
    for name, tally in {**tallies, "all": total(tallies.values())}.items():
        expected, found, lost = sum(tally.expected), sum(tally.found), sum(tally.lost)
        percent = 100.0 * lost / max(expected, 1)
        log.info("%-10s %9d %9d %9d %8.2f %12d %15d", name, expected, found, lost, percent, *tally.lost)


def refuse_rate(tally: Tally, max_lost_pct: float) -> None:
    """Stops if too much was lost.

    Raises:
        DataError: names the counts by class and the limit.
    """
    expected, lost = sum(tally.expected), sum(tally.lost)
    percent = 100.0 * lost / max(expected, 1)
    if percent > max_lost_pct:
        raise DataError(
            f"{lost} of {expected} images lost ({percent:.2f} %), more than max_lost_pct {max_lost_pct:g}: "
            f"{_by_class(tally)}; fix them (the index and the log give the reason for each), or raise max_lost_pct"
        )


def refuse_loss(tally: Tally, max_lost_pct: float) -> None:
    """Stops if too much was lost, or one class more than the other.

    Raises:
        DataError: names the counts by class, the limit and the p-value.
    """
    refuse_rate(tally, max_lost_pct)
    p = float(fisher_exact([[tally.lost[0], tally.found[0]], [tally.lost[1], tally.found[1]]]).pvalue)
    if sum(tally.lost) >= _MIN_LOST and p < _MAX_P:
        raise DataError(
            f"loss differs between the classes: {_by_class(tally)}; Fisher exact p = {p:.2g}, limit {_MAX_P:g}: what "
            "is left no longer has the class balance of the data; find out why more of one class is lost, and fix that"
        )


def _by_class(tally: Tally) -> str:
    triples = zip(_CLASSES, tally.lost, tally.expected, strict=True)
    return ", ".join(f"{name} {lost} of {n} ({100.0 * lost / max(n, 1):.2f} %)" for name, lost, n in triples)
