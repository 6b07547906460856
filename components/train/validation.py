"""What an epoch is judged by: exact ranking metrics over the whole validation set, and a confusion matrix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score, roc_auc_score

_ALMOST = 0.02


@dataclass(frozen=True)
class Validation:
    """Metrics of one epoch; counts are at raw logit >= 0, where the trained loss is indifferent.

    Attributes:
        average_precision: step-sum average precision, ties grouped.
        roc_auc: area under the ROC curve.
        tp, fp, tn, fn: images.
    """

    average_precision: float
    roc_auc: float
    tp: int
    fp: int
    tn: int
    fn: int

    @property
    def sensitivity(self) -> float:
        """TP / (TP + FN)."""
        return self.tp / (self.tp + self.fn)

    @property
    def specificity(self) -> float:
        """TN / (TN + FP)."""
        return self.tn / (self.tn + self.fp)

    @property
    def predicted_positive_rate(self) -> float:
        """Share of all images called malignant."""
        return (self.tp + self.fp) / (self.tp + self.fp + self.tn + self.fn)

    @property
    def prevalence(self) -> float:
        """Share of all images that are malignant."""
        return (self.tp + self.fn) / (self.tp + self.fp + self.tn + self.fn)

    @property
    def one_class(self) -> bool:
        """Whether the model calls (almost) everything the same."""
        return not _ALMOST < self.predicted_positive_rate < 1 - _ALMOST


def judge(label: npt.NDArray[np.int8], logit: npt.NDArray[np.float64]) -> Validation:
    """Judges (n,) raw malignant logits against (n,) labels; both classes are present.

    Args:
        label: 1 = malignant.
        logit: raw logits.
    """
    positive = logit >= 0
    malignant = label == 1
    return Validation(
        average_precision=float(average_precision_score(label, logit)),
        roc_auc=float(roc_auc_score(label, logit)),
        tp=int((positive & malignant).sum()),
        fp=int((positive & ~malignant).sum()),
        tn=int((~positive & ~malignant).sum()),
        fn=int((~positive & malignant).sum()),
    )
