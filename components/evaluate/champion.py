"""Two models on identical test images, compared by a paired bootstrap; the other one is the champion of a report."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from components.common.artifacts.estimate import Difference, Estimate
from components.common.artifacts.metrics import ChampionComparison
from components.common.artifacts.policy import DecisionPolicy
from components.common.artifacts.scores import Scores
from components.common.runtime.errors import ArtifactError, DataError
from components.common.statistics.intervals import percentile, rarer
from components.common.statistics.numeric import Floats
from components.common.statistics.ranking import Ranking
from components.common.statistics.resampling import group_codes
from components.evaluate.operating import Calls, count_calls

_NAMES = ("roc_auc", "average_precision")


def aligned(scores: Scores, champion: Scores) -> Scores:
    """The champion's scores in the order of `scores`.

    Raises:
        DataError: other images, or other labels for the same images.
    """
    try:
        return champion.aligned_to(scores)
    except ArtifactError as error:
        raise DataError(
            f"champion and this test set: {error}; a comparison needs identical images with the same labels: evaluate "
            "the champion on this split, with this label policy"
        ) from error


def compare(scores: Scores, champion: Scores, resamples: int, seed: int) -> ChampionComparison:
    """AUC and AP of both and their difference, by a paired bootstrap: each resample holds the same lesions for both."""
    other = aligned(scores, champion)
    codes, groups = group_codes(scores.group_id)
    mine, theirs = (Ranking(s.logit, s.label, codes, groups) for s in (scores, other))
    value, base = mine.value(_NAMES), theirs.value(_NAMES)
    drawn, drawn_base = mine.resampled(resamples, seed, _NAMES), theirs.resampled(resamples, seed, _NAMES)
    units = rarer(codes, scores.label)

    def difference(name: str) -> Difference:
        apart = drawn[name] - drawn_base[name]
        found = percentile(value[name] - base[name], apart, units)
        return Difference.of(found, share_of_resamples_better=float(np.mean(apart > 0)))

    auc, ap = (Estimate.of(percentile(base[name], drawn_base[name], units)) for name in _NAMES)
    return ChampionComparison(
        auc_champion=auc,
        auc_difference=difference("roc_auc"),
        ap_champion=ap,
        ap_difference=difference("average_precision"),
    )


def paired_differences(
    scores: Scores, policy: DecisionPolicy, other: Scores, others_policy: DecisionPolicy, resamples: int, seed: int
) -> dict[str, Difference]:
    """The figures of `scores` minus those of `other`, by a paired bootstrap: each resample holds the same lesions.

    Args:
        scores: test scores.
        policy: their decision policy.
        other: test scores of another model for the same images in any order, with the same labels.
        others_policy: their decision policy.
        resamples: number of resamples.
        seed: seed of the resamples.

    Returns:
        By name: roc_auc, average_precision, sensitivity, specificity.

    Raises:
        DataError: other images, or other labels for the same images.
    """
    ranked = compare(scores, other, resamples, seed)
    same_order = aligned(scores, other)
    codes, groups = group_codes(scores.group_id)
    mine, theirs = (
        count_calls(
            one.decided_by(one.logit),
            np.array([by.threshold_logit]),
            scores.label,
            codes,
            groups,
            resamples=resamples,
            seed=seed,
        )
        for one, by in ((scores, policy), (same_order, others_policy))
    )

    def difference(share: Callable[[Calls], Floats], units: int) -> Difference:
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
