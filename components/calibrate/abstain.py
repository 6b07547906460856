"""The abstain band: class-conditional split conformal prediction sets (Vovk 2012), one image per group and class."""

from __future__ import annotations

import numpy as np

from components.common.artifacts.scores import Scores
from components.common.runtime.errors import DataError
from components.common.statistics.conformal import lesions_needed, lower_limit
from components.common.statistics.numeric import Floats


def abstain_band(scores: Scores, probability: Floats, threshold: float, alpha: float) -> dict[str, float] | None:
    """Limits between which an image is referred to a person.

    At most `alpha` of malignant lesions are expected at or below `low`, and at most `alpha` of benign ones at or
    above `high`. The limits lie half-way to the next validation score, so that the many images of one isotonic step
    are all inside and another runtime's rounding moves none out. The band is widened to hold the threshold, which
    keeps both promises. Of a group with both labels (a patient) one image of each label counts.

    Args:
        scores: validation scores.
        probability: (n,) their calibrated probabilities.
        threshold: the decision threshold on the probability scale.
        alpha: error accepted in each class.

    Returns:
        {"low": p, "high": p}, or None where the two limits leave nothing in between.

    Raises:
        DataError: too few groups of a class for this alpha.
    """
    first = scores.first_row_per_group()
    one, label = np.asarray(probability)[first], scores.label[first]
    low = _limit(one[label == 1], alpha, "malignant")
    high = -_limit(-one[label == 0], alpha, "benign")
    if low > high:
        return None
    below, above = probability[probability < low], probability[probability > high]
    low, high = (low + float(below.max(initial=0.0))) / 2, (high + float(above.min(initial=1.0))) / 2
    return {"low": min(low, threshold), "high": max(high, threshold)}


def _limit(values: Floats, alpha: float, kind: str) -> float:
    limit = lower_limit(values, alpha)
    if limit is None:
        raise DataError(
            f"abstain_alpha {alpha:g}: validation has {len(values)} {kind} groups, expected at least "
            f"{lesions_needed(alpha)}; use a larger validation split or a larger abstain_alpha"
        )
    return limit
