"""What an epoch tells the person who reads `kubectl logs`: one block in the log, one row in `history.csv`."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from components.train.metrics import ValidationMetrics

log = logging.getLogger(__name__)

_WAIT_WARNING = 0.10
COLUMNS = (
    "epoch", "learning_rate", "loss", "val_average_precision", "val_roc_auc", "val_sensitivity", "val_specificity",
    "val_predicted_positive_rate", "val_prevalence", "tp", "fp", "tn", "fn", "one_class", "seconds", "images_per_s",
    "data_wait", "memory_peak_mb",
)  # fmt: skip
MACHINE_COLUMNS = ("seconds", "images_per_s", "data_wait", "memory_peak_mb")


def history_row(
    epoch: int,
    lr: float,
    loss: float,
    metrics: ValidationMetrics,
    images: int,
    seconds: float,
    waited: float,
    peak: int,
) -> dict[str, Any]:
    """One row of `history.csv`; `MACHINE_COLUMNS` are about this machine, not about the result."""
    return {
        "epoch": epoch,
        "learning_rate": lr,
        "loss": loss,
        "val_average_precision": metrics.average_precision,
        "val_roc_auc": metrics.roc_auc,
        "val_sensitivity": metrics.sensitivity,
        "val_specificity": metrics.specificity,
        "val_predicted_positive_rate": metrics.predicted_positive_rate,
        "val_prevalence": metrics.prevalence,
        "tp": metrics.tp,
        "fp": metrics.fp,
        "tn": metrics.tn,
        "fn": metrics.fn,
        "one_class": metrics.one_class,
        "seconds": round(seconds, 2),
        "images_per_s": round(images / max(seconds, 1e-9), 2),
        "data_wait": round(waited / max(seconds, 1e-9), 4),
        "memory_peak_mb": round(peak / 2**20),
    }


def history_csv(history: Sequence[Mapping[str, Any]]) -> str:
    """`history.csv`: LF, header, numbers with all their digits."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return buffer.getvalue()


def block(row: Mapping[str, Any], epochs: int, best: float, best_epoch: int) -> str:
    """The readable block of one epoch."""
    mark = "best so far" if best_epoch == row["epoch"] else f"best {best:.4f} in epoch {best_epoch}"
    return "\n".join(
        [
            f"epoch {row['epoch']} of {epochs}   learning rate {row['learning_rate']:.3g}   loss {row['loss']:.4f}   "
            f"{row['seconds']:.0f} s",
            f"  validation: average precision {row['val_average_precision']:.4f} ({mark})   "
            f"ROC-AUC {row['val_roc_auc']:.4f}",
            "  at probability 1/2   said benign   said malignant",
            f"    benign           {row['tn']:>13}{row['fp']:>17}   specificity {row['val_specificity']:.3f}",
            f"    malignant        {row['fn']:>13}{row['tp']:>17}   sensitivity {row['val_sensitivity']:.3f}",
            f"  said malignant {row['val_predicted_positive_rate']:.1%}, prevalence {row['val_prevalence']:.1%}   "
            f"{row['images_per_s']:.1f} images/s   data wait {row['data_wait']:.1%}   "
            f"memory peak {row['memory_peak_mb']:,} MB",
        ]
    )


def log_epoch(row: Mapping[str, Any], epochs: int, best: float, best_epoch: int) -> None:
    """Logs the block and what a person should worry about."""
    log.info("%s", block(row, epochs, best, best_epoch))
    if row["one_class"]:
        rate = row["val_predicted_positive_rate"]
        name = "benign" if rate < 0.5 else "malignant"
        log.warning("(almost) every validation image is called %s (%.1f %% malignant)", name, 100 * rate)
    if row["data_wait"] > _WAIT_WARNING:
        log.warning(
            "the step waited for data %.0f %% of the time: give more CPU cores, or cache=memory", 100 * row["data_wait"]
        )
