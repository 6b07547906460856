"""Validation metrics of an epoch: loss, exact ranking metrics, and the confusion matrix at p >= 0.5."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.common.statistics.ranking import average_precision, roc_auc

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int8]

_ALMOST = 0.02


@dataclass(frozen=True)
class ValidationMetrics:
    """Metrics of one epoch; counts are images.

    Attributes:
        loss: the training loss on these images, unweighted.
        average_precision: step sum over distinct scores, ties grouped.
        roc_auc: share of malignant-benign pairs in the right order, ties half.
        tp: malignant and predicted malignant.
        fn: malignant and predicted benign.
        fp: benign and predicted malignant.
        tn: benign and predicted benign.
    """

    loss: float
    average_precision: float
    roc_auc: float
    tp: int
    fn: int
    fp: int
    tn: int

    @property
    def sensitivity(self) -> float:
        """TP / (TP + FN)."""
        return self.tp / max(1, self.tp + self.fn)

    @property
    def specificity(self) -> float:
        """TN / (TN + FP)."""
        return self.tn / max(1, self.tn + self.fp)

    @property
    def n(self) -> int:
        """Images."""
        return self.tp + self.fn + self.fp + self.tn

    @property
    def predicted_positive_rate(self) -> float:
        """Share of images predicted malignant."""
        return (self.tp + self.fp) / self.n

    @property
    def one_class(self) -> bool:
        """Whether (almost) every image gets the same prediction."""
        return not _ALMOST < self.predicted_positive_rate < 1 - _ALMOST

    @property
    def prevalence(self) -> float:
        """Share of images that are malignant."""
        return (self.tp + self.fn) / self.n


def validation_metrics(label: Labels, logit: Floats, loss: float) -> ValidationMetrics:
    """Metrics of a whole validation set.

    Args:
        label: (n,), 1 = malignant; both classes present.
        logit: (n,) finite malignant logits; predicted malignant where p >= 0.5, i.e. logit >= 0.
        loss: mean loss over the images, unweighted.
    """
    positive, predicted = label == 1, logit >= 0
    return ValidationMetrics(
        loss=loss,
        average_precision=average_precision(label, logit),
        roc_auc=roc_auc(label, logit),
        tp=int((positive & predicted).sum()),
        fn=int((positive & ~predicted).sum()),
        fp=int((~positive & predicted).sum()),
        tn=int((~positive & ~predicted).sum()),
    )
