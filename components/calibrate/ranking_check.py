"""Scores that do not rank malignant above benign images are refused before anything is fitted to them.

A calibrator is monotone, so no calibrator can repair the order: it would hide the fault behind probabilities that are
right on average.
"""

from __future__ import annotations

import math

from components.common.artifacts.scores import Scores
from components.common.runtime.errors import DataError
from components.common.statistics.ranking import roc_auc
from components.common.statistics.resampling import group_codes

_LOWEST_AUC, _ENOUGH = 0.55, 0.60  # from _ENOUGH on the scores are taken however few the groups
_ERRORS = 2.0


def check_ranking(scores: Scores, what: str = "validation") -> None:
    """Refuses scores without both classes, or with a ROC-AUC near or below 1/2.

    The ROC-AUC must be two standard errors above 1/2, at least 0.55 and at most 0.60. The standard error is that of the
    Mann-Whitney statistic of scores that know nothing, with groups as the independent units.

    Args:
        scores: raw logits and labels.
        what: whose scores they are, for errors.

    Raises:
        DataError: one class only, or scores that do not rank; with the likely reason.
    """
    malignant = scores.label == 1
    if malignant.all() or not malignant.any():
        raise DataError(f"{what}: all labels are {int(malignant[0])}; calibration needs both classes")
    n1, n0 = (group_codes(scores.group_id[rows])[1] for rows in (malignant, ~malignant))
    error = _ERRORS * math.sqrt((n1 + n0 + 1) / (12 * n1 * n0))
    auc = roc_auc(scores.label, scores.logit)
    needed = min(max(_LOWEST_AUC, 0.5 + error), _ENOUGH)
    if auc >= needed:
        return
    if auc < 0.5 - error:
        reason = "the order is reversed: are the labels swapped (1 is malignant) in the table or in the label policy?"
    else:
        reason = "no better than chance: do the labels belong to these images? else train longer, or on more images"
    raise DataError(
        f"{what}: scores do not rank malignant above benign images: ROC-AUC {auc:.3f}, expected at least "
        f"{needed:.3f} with {n1} malignant and {n0} benign groups; {reason}"
    )
