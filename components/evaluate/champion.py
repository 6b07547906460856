"""The champion: another model on identical images, compared lesion by lesion."""

from __future__ import annotations

import numpy as np

from components.common.artifacts.metrics import ChampionComparison, Difference, Estimate
from components.common.artifacts.scores import Scores
from components.common.runtime.errors import ArtifactError, DataError
from components.common.statistics.intervals import percentile, rarer
from components.common.statistics.ranking import Ranking
from components.common.statistics.resampling import group_codes

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
