"""Two models on the same test images: the difference of their figures, each at its own threshold."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from components.common.artifacts.metrics import Difference
from components.common.artifacts.policy import DecisionPolicy
from components.common.artifacts.scores import Scores
from components.common.statistics.intervals import percentile
from components.common.statistics.numeric import Floats
from components.common.statistics.resampling import group_codes
from components.evaluate import operating
from components.evaluate.champion import compare

PAIRED = ("roc_auc", "average_precision", "sensitivity", "specificity")


def paired_differences(
    scores: Scores, policy: DecisionPolicy, other: Scores, others_policy: DecisionPolicy, resamples: int, seed: int
) -> dict[str, Difference]:
    """The figures of `scores` minus those of `other`, by a paired bootstrap: each resample holds the same lesions.

    Args:
        scores: test scores.
        policy: their decision policy.
        other: test scores of the same images in any order, with the same labels.
        others_policy: their decision policy.
        resamples: how many resamples.
        seed: of the resamples.

    Returns:
        By the names in `PAIRED`.

    Raises:
        DataError: other images, or other labels for the same images.
    """
    ranked = compare(scores, other, resamples, seed)
    aligned = other.aligned_to(scores)
    codes, groups = group_codes(scores.group_id)
    mine, theirs = (
        operating.count_calls(
            one.decided_by(one.logit),
            np.array([by.threshold_logit]),
            scores.label,
            codes,
            groups,
            resamples=resamples,
            seed=seed,
        )
        for one, by in ((scores, policy), (aligned, others_policy))
    )

    def difference(share: Callable[[operating.Calls], Floats], units: int) -> Difference:
        with np.errstate(divide="ignore", invalid="ignore"):
            apart = share(mine) - share(theirs)
        found = percentile(float(apart[0]), apart[1:], units)
        return Difference.of(found, share_of_resamples_better=float(np.mean(apart[1:] > 0)))

    return {
        "roc_auc": ranked.auc_difference,
        "average_precision": ranked.ap_difference,
        "sensitivity": difference(lambda calls: calls.tp[0] / calls.positives, mine.positive_groups),
        "specificity": difference(lambda calls: 1 - calls.fp[0] / calls.negatives, mine.negative_groups),
    }
