"""ROC-AUC's variance in closed form for clustered data, the bootstrap's cross-check.

Obuchowski 1997, doi:10.2307/2533958; with one row per cluster it is DeLong's variance (DeLong 1988,
doi:10.2307/2531595).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.stats import norm, rankdata

from components.common.statistics.intervals import LEVEL, Interval
from components.common.statistics.numeric import Floats
from components.common.statistics.resampling import Codes


def clustered_auc(
    score: Floats, label: npt.NDArray[np.int8], codes: Codes, groups: int
) -> tuple[Interval, float | None]:
    """ROC-AUC with its normal-approximation interval, and its standard error.

    Args:
        score: (n,) higher is more malignant.
        label: (n,) 0 or 1.
        codes: (n,) cluster of each row, 0..groups-1.
        groups: how many clusters.
    """
    positive = label == 1
    m, n = int(positive.sum()), int((~positive).sum())
    if m == 0 or n == 0:
        return Interval(None, None, None), None
    x, y = score[positive], score[~positive]
    rank = rankdata(np.r_[x, y])
    above = (rank[:m] - rankdata(x)) / n  # share of benign rows each malignant row beats, ties one half
    below = 1 - (rank[m:] - rankdata(y)) / m
    auc = float(above.mean())
    parts = ((positive, above), (~positive, below))
    sums = [np.bincount(codes[mask], weights=share - auc, minlength=groups) for mask, share in parts]
    with_positive = len(np.unique(codes[positive]))
    with_negative = len(np.unique(codes[~positive]))
    if with_positive < 2 or with_negative < 2:
        return Interval(auc, None, None), None
    s10 = with_positive / ((with_positive - 1) * m) * float(sums[0] @ sums[0])
    s01 = with_negative / ((with_negative - 1) * n) * float(sums[1] @ sums[1])
    s11 = groups / (groups - 1) * float(sums[0] @ sums[1])
    error = math.sqrt(max(s10 / m + s01 / n + 2 * s11 / (m * n), 0.0))
    z = float(norm.ppf((1 + LEVEL) / 2))
    return Interval(auc, max(auc - z * error, 0.0), min(auc + z * error, 1.0)), error
