"""What a person reading `kubectl logs` sees after each epoch: one block, no scrolling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_WAIT_WARNING = 0.10


def epoch_block(row: Mapping[str, Any], epochs: int, *, best: float, improved: bool) -> str:
    """One epoch as a block of lines.

    Args:
        row: the epoch's row of `history.csv`.
        epochs: most epochs.
        best: best average precision so far, this epoch included.
        improved: whether this epoch is the best so far.
    """
    mark = "best so far" if improved else f"best is {best:.4f}"
    lines = [
        f"epoch {row['epoch']} of {epochs}",
        f"  loss {row['loss']:.4f}   learning rate {row['learning_rate']:.3g}",
        f"  validation: average precision {row['val_average_precision']:.4f} ({mark}), "
        f"ROC-AUC {row['val_roc_auc']:.4f}",
        f"  sensitivity {row['val_sensitivity']:.3f}   specificity {row['val_specificity']:.3f}   "
        f"called malignant {row['val_predicted_positive_rate']:.1%}, malignant are {row['val_prevalence']:.1%}",
        "                      called malignant   called benign",
        f"  malignant           {row['tp']:>16}   {row['fn']:>13}",
        f"  benign              {row['fp']:>16}   {row['tn']:>13}",
        f"  {row['seconds']:.1f} s, {row['images_per_s']:.0f} images/s, waited for data {row['data_wait']:.1%}, "
        f"memory peak {row['memory_peak_mb']:,} MB",
    ]
    if row["one_class"]:
        lines.append("  WARNING: the model calls (almost) every image the same")
    if row["data_wait"] > _WAIT_WARNING:
        lines.append("  WARNING: more than 10 % of the time went into waiting for data; give the pod more CPU")
    return "\n".join(lines)
