"""What one way of scoring gains over another on the same images, with an interval that resamples lesions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from components.common.statistics.intervals import percentile, rarer
from components.common.statistics.numeric import Floats
from components.common.statistics.ranking import Ranking
from components.common.statistics.resampling import group_codes

METRICS = ("average_precision", "roc_auc")
RESAMPLES = 2000


def paired_gain(
    before: Sequence[Floats],
    after: Floats,
    label: npt.NDArray[np.int8],
    group_id: npt.NDArray[np.str_],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """Average precision and ROC-AUC before and after, and the gain with its 95 % interval.

    A paired group bootstrap: every resample holds the same lesions for all sides, so what makes a lesion
    hard for both cancels out. With several scores before, `after` is compared with their mean figure:
    the expectation for one of them taken at random.

    Args:
        before: one or more (n,) scores.
        after: (n,) scores of the same images.
        label: (n,) 1 = malignant.
        group_id: (n,) images of one group are never resampled apart.
        resamples: how many resamples.
        seed: of the resamples.

    Returns:
        By metric {"before", "after", "gain": {value, lower, upper}}; empty where one class is absent.
    """
    if not 0 < int(label.sum()) < len(label):
        return {}
    codes, groups = group_codes(group_id)
    units = rarer(codes, label)
    sides = [Ranking(score, label, codes, groups) for score in (*before, after)]
    values = [side.value(METRICS) for side in sides]
    drawn = [side.resampled(resamples, seed, METRICS) for side in sides]
    found = {}
    for name in METRICS:
        base, value = float(np.mean([one[name] for one in values[:-1]])), values[-1][name]
        difference = drawn[-1][name] - np.mean([one[name] for one in drawn[:-1]], axis=0)
        gain = percentile(value - base, difference, units).as_dict()
        found[name] = {"before": base, "after": value, "gain": gain}
    return found
