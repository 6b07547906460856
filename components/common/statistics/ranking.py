"""Ranking metrics of a score, for the data as it is and for thousands of group resamples at once.

A resample only changes how often each group counts. Rows are sorted once; two sparse matrices then turn
group counts into true and false positives at every threshold, for a block of resamples in one product,
and each metric is a sum over thresholds. Counts stay integers up to the last division, so a
resample's value equals scikit-learn's on the same rows to rounding.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from components.common.statistics.numeric import Floats
from components.common.statistics.resampling import Codes, Counts, group_counts

MIN_TPR = 0.80
SPECIFICITIES = (0.80, 0.90, 0.95)
SENSITIVITIES = (0.90, 0.95)
METRICS = (
    "roc_auc",
    "average_precision",
    "partial_auc",
    *(f"sensitivity_at_specificity_{s:.2f}" for s in SPECIFICITIES),
    *(f"specificity_at_sensitivity_{s:.2f}" for s in SENSITIVITIES),
)

Ints = npt.NDArray[np.int64]
_CELLS = 250_000  # thresholds or groups times resamples in one block: stays near the processor's cache


@dataclass(frozen=True)
class _Curve:
    """Counts at each distinct malignant score, from the highest down, for b resamples.

    Attributes:
        tp: (K, b) malignant weight at or above the score.
        gain: (K, b) malignant weight at the score.
        fp: (K, b) benign weight at or above the score.
        tied: (K, b) benign weight at the score.
        positives: (b,) malignant weight.
        negatives: (b,) benign weight.
    """

    tp: Ints
    gain: Ints
    fp: Ints
    tied: Ints
    positives: Ints
    negatives: Ints


class Ranking:
    """A score and its labels, sorted once.

    Args:
        score: (n,) any monotone score; higher is more malignant.
        label: (n,) 0 or 1.
        codes: (n,) group of each row, 0..groups-1.
        groups: how many groups.
    """

    def __init__(self, score: Floats, label: npt.NDArray[np.int8], codes: Codes, groups: int) -> None:
        malignant = label == 1
        self.groups = groups
        self.thresholds = np.unique(score[malignant])[::-1]
        k = len(self.thresholds)
        # the first threshold, walking down, at which a row is predicted malignant; k if at none
        first = np.searchsorted(-self.thresholds, -score, side="left")
        tied = ~malignant & (self.thresholds[np.minimum(first, k - 1)] == score) if k else np.zeros(len(score), bool)
        self._gain = _matrix(first[malignant], codes[malignant], (k, groups))
        self._fall = _matrix(first[~malignant], codes[~malignant], (k + 1, groups))
        self._tied = _matrix(first[tied], codes[tied], (k, groups))

    def metrics(self, counts: Counts, names: Iterable[str] = METRICS) -> dict[str, Floats]:
        """Each metric, (b,), for (G, b) group counts; NaN where a class has no weight."""
        curve = self._curve(counts)
        with np.errstate(divide="ignore", invalid="ignore"):
            return {name: _metric(curve, name) for name in names}

    def value(self, names: Iterable[str] = METRICS) -> dict[str, float]:
        """Each metric of the data as it is; NaN where a class is missing."""
        once = np.ones((self.groups, 1), np.int32)
        return {name: float(v[0]) for name, v in self.metrics(once, names).items()}

    def resampled(self, resamples: int, seed: int, names: Iterable[str] = METRICS) -> dict[str, Floats]:
        """Each metric of `resamples` group resamples, (resamples,)."""
        wanted = tuple(names)
        cells = max(1, _CELLS * self.groups // max(self.groups, len(self.thresholds), 1))
        blocks = [self.metrics(c, wanted) for c in group_counts(self.groups, resamples, seed, cells)]
        return {name: np.concatenate([block[name] for block in blocks]) for name in wanted}

    def rates(self, counts: Counts) -> tuple[Floats, Floats, Floats]:
        """False positive rate, true positive rate and precision at each threshold, (K, b)."""
        c = self._curve(counts)
        with np.errstate(divide="ignore", invalid="ignore"):
            return c.fp / c.negatives, c.tp / c.positives, c.tp / (c.tp + c.fp)

    def _curve(self, counts: Counts) -> _Curve:
        gain, fall = self._gain @ counts, self._fall @ counts
        tp, fp = np.cumsum(gain, axis=0, dtype=np.int64), np.cumsum(fall, axis=0, dtype=np.int64)
        positives = tp[-1] if len(tp) else np.zeros(counts.shape[1], np.int64)
        return _Curve(tp, gain, fp[:-1], self._tied @ counts, positives, fp[-1])


def roc_auc(label: npt.NDArray[np.int8], score: Floats) -> float:
    """Area under the ROC curve: the share of malignant-benign pairs in the right order, ties one half (Hanley 1982).

    >>> roc_auc(np.array([0, 1, 0, 1]), np.array([0.1, 0.4, 0.4, 0.8]))
    0.875
    """
    return _alone(label, score, "roc_auc")


def average_precision(label: npt.NDArray[np.int8], score: Floats) -> float:
    """Exact average precision: sum of precision times the step in recall, one step per distinct score.

    `keras.metrics.AUC(curve="PR")` interpolates over fixed thresholds and reads several points too low on saturated
    outputs.

    >>> average_precision(np.array([0, 1, 0, 1]), np.array([0.1, 0.4, 0.4, 0.8]))
    0.8333333333333333
    """
    return _alone(label, score, "average_precision")


def _alone(label: npt.NDArray[np.int8], score: Floats, name: str) -> float:
    everything = Ranking(score, label, np.zeros(len(label), np.intp), 1)
    return everything.value([name])[name]


def _matrix(row: npt.NDArray[np.intp], column: Codes, shape: tuple[int, int]) -> csr_array:
    return csr_array((np.ones(len(row), np.int32), (row, column)), shape=shape)


def _metric(c: _Curve, name: str) -> Floats:
    if not len(c.tp):
        return np.full(len(c.positives), np.nan)
    if name == "roc_auc":  # twice the count of malignant-above-benign pairs, ties one half (Mann-Whitney)
        pairs: Ints = np.einsum("kb,kb->b", c.gain, 2 * (c.negatives - c.fp) + c.tied)
        return pairs / (2.0 * c.positives * c.negatives)
    if name == "average_precision":
        called = c.tp + c.fp
        precision = c.tp / np.maximum(called, 1)
        value = np.einsum("kb,kb->b", c.gain, precision) / c.positives
        return np.where(c.negatives > 0, value, np.nan)
    if name == "partial_auc":
        return _partial_auc(c)
    at = float(name.rsplit("_", 1)[1])
    if name.startswith("sensitivity_at"):
        reached = (c.fp <= (1 - at) * c.negatives + 1e-9).sum(axis=0)
        found = np.take_along_axis(c.tp, np.maximum(reached - 1, 0)[None], axis=0)[0]
        return np.where(c.negatives > 0, np.where(reached > 0, found, 0) / c.positives, np.nan)
    k = np.argmax(c.tp >= at * c.positives - 1e-9, axis=0)
    spared = 1 - np.take_along_axis(c.fp, k[None], axis=0)[0] / c.negatives
    return np.where(c.positives > 0, spared, np.nan)


def _partial_auc(c: _Curve) -> Floats:
    """Area left of the ROC curve above true positive rate 0.8: 0 to 0.2 (ISIC 2024)."""
    floor = MIN_TPR * c.positives
    before = c.tp - c.gain
    start = np.maximum(before, floor)
    width = np.maximum(c.tp - start, 0.0)
    # inside a tie the curve is a slope from (fp - tied) to fp
    share = (start - before) / np.maximum(c.gain, 1)
    middle = (c.fp - c.tied) + c.tied * (1 + np.minimum(share, 1.0)) / 2
    area: Floats = np.einsum("kb,kb->b", width, 1 - middle / c.negatives) / c.positives
    return area
