"""The champion: another model on identical images, compared lesion by lesion."""

from __future__ import annotations

import numpy as np

from components.common.artifacts.metrics import ChampionComparison, Difference, Estimate
from components.common.artifacts.scores import Scores
from components.common.runtime.errors import DataError
from components.common.statistics.intervals import percentile, rarer
from components.common.statistics.ranking import Ranking
from components.common.statistics.resampling import group_codes

_NAMES = ("roc_auc", "average_precision")


def aligned(scores: Scores, champion: Scores) -> Scores:
    """The champion's scores in the order of `scores`.

    Raises:
        DataError: other images, or other labels for the same images.
    """
    mine, theirs = set(scores.image_id.tolist()), set(champion.image_id.tolist())
    if mine != theirs:
        odd = sorted(mine ^ theirs)[0]
        raise DataError(
            f"champion scores {len(theirs)} images, this test set has {len(mine)}, {len(mine & theirs)} in common (for "
            f"example {odd!r} is in one only); a comparison needs identical images: evaluate the champion on this split"
        )
    where = {name: i for i, name in enumerate(champion.image_id.tolist())}
    order = np.array([where[name] for name in scores.image_id.tolist()])
    label = champion.label[order]
    if (label != scores.label).any():
        i = int(np.argmax(label != scores.label))
        raise DataError(
            f"champion has label {label[i]} for image {str(scores.image_id[i])!r}, this test set has "
            f"{scores.label[i]}; evaluate the champion with the same label policy"
        )
    return Scores(scores.image_id, scores.lesion_id, scores.group_id, label, champion.logit[order],
                  champion.probability[order])  # fmt: skip


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
