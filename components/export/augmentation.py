"""What test-time augmentation gains on validation, measured where the bundle is checked anyway."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from components.common.decision import DecisionPolicy

_EPS = 1e-12


def gain(
    label: npt.NDArray[np.int8],
    plain: npt.NDArray[np.float64],
    augmented: npt.NDArray[np.float64],
    policy: DecisionPolicy,
) -> dict[str, Any]:
    """Validation figures without and with augmentation, at the policy's calibrator and threshold.

    The policy was fitted to logits without augmentation; that is why sensitivity is among the figures.

    Args:
        label: (n,) 1 = malignant.
        plain: (n,) raw logits without augmentation.
        augmented: (n,) raw logits averaged over the views.
        policy: the decision policy.

    Returns:
        Each figure by name as {"plain", "augmented", "gain"}, and the decisions that change.
    """
    before, after = _figures(label, plain, policy), _figures(label, augmented, policy)
    figures: dict[str, Any] = {
        name: {"plain": before[name], "augmented": after[name], "gain": after[name] - before[name]} for name in before
    }
    figures["images"] = len(label)
    figures["changed_decisions"] = int((policy.decide(plain) != policy.decide(augmented)).sum())
    return figures


def _figures(label: npt.NDArray[np.int8], logit: npt.NDArray[np.float64], policy: DecisionPolicy) -> dict[str, float]:
    from sklearn.metrics import average_precision_score, roc_auc_score

    p = np.clip(policy.probability(logit), _EPS, 1 - _EPS)
    figures = {"log_loss": float(-np.mean(np.where(label == 1, np.log(p), np.log1p(-p))))}
    if 0 < label.sum() < len(label):
        malignant = policy.decide(logit)
        figures |= {
            "average_precision": float(average_precision_score(label, logit)),
            "roc_auc": float(roc_auc_score(label, logit)),
            "sensitivity": float(malignant[label == 1].mean()),
            "specificity": float(1 - malignant[label == 0].mean()),
        }
    return figures
