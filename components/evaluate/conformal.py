"""Class-conditional split conformal sets (Vovk 2012): what the model answers if it may also answer "not sure".

A set holds every class that the probability does not exclude at the accepted error. Both classes mean "not sure"; an
empty set means "like neither", which happens where the classes are easy to tell apart.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from components.common.artifacts.metrics import PredictionSet
from components.common.artifacts.policy import DecisionPolicy
from components.common.artifacts.scores import Scores
from components.common.statistics.conformal import lower_limit
from components.common.statistics.numeric import Floats
from components.common.statistics.resampling import group_codes
from components.evaluate.operating import count_calls, rates

ALPHAS = (0.05, 0.10, 0.20)


def limits(probability: Floats, label: npt.NDArray[np.int8], alpha: float) -> tuple[float, float] | None:
    """The probability from which a set holds malignant, and that up to which it holds benign.

    Returns:
        (low, high), or None where a class has too few lesions to exclude anything (n + 1 < 1 / alpha).
    """
    low, high = lower_limit(probability[label == 1], alpha), lower_limit(-probability[label == 0], alpha)
    return None if low is None or high is None else (low, -high)


def prediction_sets(
    val: Scores, test: Scores, policy: DecisionPolicy, resamples: int, seed: int
) -> list[PredictionSet]:
    """Coverage and size of the sets on test lesions, one row for each alpha of `ALPHAS` that validation allows."""
    known, new = val.first_image_per_group(), test.first_image_per_group()
    probability, p = policy.probability(known.logit), policy.probability(new.logit)
    codes, groups = group_codes(new.group_id)
    rows = []
    for alpha in ALPHAS:
        found = limits(probability, known.label, alpha)
        if found is None:
            continue
        low, high = found
        calls = count_calls(
            p, np.array([low, np.nextafter(high, 2)]), new.label, codes, groups, resamples=resamples, seed=seed
        )
        both, none = (p >= low) & (p <= high), (p < low) & (p > high)
        rows.append(
            PredictionSet(
                alpha=alpha,
                low=low,
                high=high,
                n=len(new),
                malignant=int(calls.positives[0]),
                malignant_coverage=rates(calls, 0).sensitivity,
                benign_coverage=rates(calls, 1).specificity,
                not_sure=float(both.mean()),
                neither=float(none.mean()),
                one_answer=float(1 - both.mean() - none.mean()),
            )
        )
    return rows
