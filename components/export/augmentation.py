"""What test-time augmentation gains on validation, measured where the bundle is checked anyway."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from components.common.artifacts.policy import DecisionPolicy
from components.common.bundle.parity_record import Augmentation, Gain, GainEstimate
from components.common.statistics.paired_gain import paired_gain
from components.common.statistics.reliability import log_loss

Floats = npt.NDArray[np.float64]


def gain(
    label: npt.NDArray[np.int8],
    group_id: npt.NDArray[np.str_],
    plain: Floats,
    augmented: Floats,
    policy: DecisionPolicy,
) -> Augmentation:
    """Validation figures without and with augmentation, at the policy's calibrator and threshold.

    The policy was fitted to logits without augmentation; that is why sensitivity is among the figures.

    Args:
        label: (n,) 1 = malignant.
        group_id: (n,) groups, resampled whole.
        plain: (n,) raw logits without augmentation.
        augmented: (n,) raw logits averaged over the views.
        policy: the decision policy.

    Returns:
        The figures; the gain of ROC-AUC and average precision has a 95 % interval.
    """
    before, after = _figures(label, plain, policy), _figures(label, augmented, policy)
    figures = {
        name: Gain(before=before[name], after=after[name], gain=GainEstimate(value=after[name] - before[name]))
        for name in before
    }
    ranked = paired_gain([plain], augmented, label, group_id)
    changed = int((policy.decide(plain) != policy.decide(augmented)).sum())
    figures |= {name: Gain.model_validate(found) for name, found in ranked.items()}
    return Augmentation(images=len(label), changed_decisions=changed, **figures)


def _figures(label: npt.NDArray[np.int8], logit: Floats, policy: DecisionPolicy) -> dict[str, float]:
    figures = {"log_loss": log_loss(label.astype(np.float64), policy.probability(logit))}
    if 0 < label.sum() < len(label):
        malignant = policy.decide(logit)
        figures["sensitivity"] = float(malignant[label == 1].mean())
        figures["specificity"] = float(1 - malignant[label == 0].mean())
    return figures
