"""ROC and precision-recall curves with bands from group resamples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from components.common.artifacts.scores import Scores
from components.common.statistics.intervals import LEVEL
from components.common.statistics.numeric import Floats
from components.common.statistics.ranking import Ranking
from components.common.statistics.resampling import group_codes, group_counts

_RESAMPLES = 500  # enough for a band; the intervals in the tables use all
_CELLS = 250_000
GRID = np.linspace(0, 1, 101)


@dataclass(frozen=True)
class Curve:
    """A curve and its pointwise 95 % band.

    Attributes:
        x: (k,) the curve itself.
        y: (k,) the curve itself.
        grid: (101,) x of the band.
        lower: (101,) its lower edge.
        upper: (101,) its upper edge.
    """

    x: Floats
    y: Floats
    grid: Floats
    lower: Floats
    upper: Floats


def roc_and_pr(scores: Scores, resamples: int, seed: int) -> tuple[Curve, Curve]:
    """The ROC curve (false positive rate, true positive rate) and the PR curve (recall, precision)."""
    codes, groups = group_codes(scores.group_id)
    ranking = Ranking(scores.logit, scores.label, codes, groups)
    fpr, tpr, precision = (v[:, 0] for v in ranking.rates(np.ones((groups, 1), np.int32)))
    roc, pr = [], []
    for counts in group_counts(groups, min(resamples, _RESAMPLES), seed, _CELLS):
        f, t, p = ranking.rates(counts)
        columns = [j for j in range(counts.shape[1]) if np.isfinite(f[:, j]).all() and np.isfinite(t[:, j]).all()]
        roc += [_reached(f[:, j], t[:, j]) for j in columns]
        pr += [p[np.minimum(np.searchsorted(t[:, j], GRID), len(t) - 1), j] for j in columns]
    return (
        _banded(*_steps(fpr, tpr), np.array(roc)),
        _banded(np.r_[0.0, tpr], np.r_[precision[0], precision], np.array(pr)),
    )


def _reached(fpr: Floats, tpr: Floats) -> Floats:
    """The highest true positive rate at each false positive rate of the grid."""
    reached: Floats = np.r_[0.0, tpr][np.searchsorted(fpr, GRID + 1e-12, side="right")]
    return reached


def _steps(fpr: Floats, tpr: Floats) -> tuple[Floats, Floats]:
    return np.r_[0.0, fpr, 1.0], np.r_[0.0, tpr, 1.0]


def _banded(x: Floats, y: Floats, drawn: Floats, most: int = 400) -> Curve:
    if len(x) > most:
        keep = np.unique(np.linspace(0, len(x) - 1, most).round().astype(int))
        x, y = x[keep], y[keep]
    tails = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    low, high = np.nanquantile(drawn, tails, axis=0) if len(drawn) else (np.full(101, np.nan),) * 2
    return Curve(x, y, GRID, low, high)
