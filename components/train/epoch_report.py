"""What an epoch tells the person who reads `kubectl logs`: one block in the log, one row in `history.csv`."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.train.config import TrainConfig
from components.train.metrics import ValidationMetrics
from components.train.schedule import RunState

log = logging.getLogger(__name__)

_WAIT_WARNING = 0.10
_CHANCE = 0.55  # ROC-AUC; below it the scores hardly rank at all
MACHINE_COLUMNS = (
    "seconds", "images_per_s", "data_wait", "memory_peak_mb", "val_seconds", "device_memory_peak_mb",
)  # fmt: skip
COLUMNS = (
    "epoch", "learning_rate", "loss", "val_average_precision", "val_roc_auc", "val_sensitivity", "val_specificity",
    "val_predicted_positive_rate", "val_prevalence", "tp", "fp", "tn", "fn", "one_class", *MACHINE_COLUMNS,
)  # fmt: skip


@dataclass(frozen=True)
class Cost:
    """What an epoch took.

    Attributes:
        images: trained on.
        seconds: of training.
        waited: seconds of these in which no batch was ready.
        val_seconds: of scoring the validation images.
        peak: most resident memory of the process so far, bytes.
        device_peak: most memory taken on the GPU so far, bytes; 0 without one.
    """

    images: int = 0
    seconds: float = 0.0
    waited: float = 0.0
    val_seconds: float = 0.0
    peak: int = 0
    device_peak: int = 0


def history_row(epoch: int, lr: float, loss: float, metrics: ValidationMetrics, cost: Cost) -> dict[str, Any]:
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
        "seconds": round(cost.seconds, 2),
        "images_per_s": round(cost.images / max(cost.seconds, 1e-9), 2),
        "data_wait": round(cost.waited / max(cost.seconds, 1e-9), 4),
        "memory_peak_mb": round(cost.peak / 2**20),
        "val_seconds": round(cost.val_seconds, 2),
        "device_memory_peak_mb": round(cost.device_peak / 2**20),
    }


def history_csv(history: Sequence[Mapping[str, Any]]) -> str:
    """`history.csv`: LF, header, numbers with all their digits."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return buffer.getvalue()


def block(row: Mapping[str, Any], epochs: int, state: RunState) -> str:
    """The readable block of one epoch, at most 80 columns wide."""
    better = state.best_epoch == row["epoch"]
    mark = "best so far" if better else f"best {state.best:.4f} in epoch {state.best_epoch}"
    gpu = f", of the GPU {row['device_memory_peak_mb']:,} MB" if row["device_memory_peak_mb"] else ""
    return "\n".join(
        [
            f"epoch {row['epoch']} of {epochs}   loss {row['loss']:.4f}   learning rate {row['learning_rate']:.3g}",
            f"  average precision {row['val_average_precision']:.4f} ({mark})   ROC-AUC {row['val_roc_auc']:.4f}",
            "  at probability 1/2   said benign   said malignant",
            f"    benign           {row['tn']:>13}{row['fp']:>17}   specificity {row['val_specificity']:.3f}",
            f"    malignant        {row['fn']:>13}{row['tp']:>17}   sensitivity {row['val_sensitivity']:.3f}",
            f"  said malignant {row['val_predicted_positive_rate']:.1%}, prevalence {row['val_prevalence']:.1%}",
            f"  {row['images_per_s']:.1f} images/s   data wait {row['data_wait']:.1%}   "
            f"training {row['seconds']:.0f} s, validation {row['val_seconds']:.0f} s",
            f"  memory peak {row['memory_peak_mb']:,} MB{gpu}",
        ]
    )


def log_epoch(row: Mapping[str, Any], config: TrainConfig, state: RunState) -> None:
    """Logs the block, what a person should worry about, and how long the run goes on without a better value."""
    log.info("%s", block(row, config.epochs, state))
    if state.wait and config.early_stopping_patience:
        log.info("%d of %d epochs without a better average precision", state.wait, config.early_stopping_patience)
    if row["one_class"]:
        rate = row["val_predicted_positive_rate"]
        name = "benign" if rate < 0.5 else "malignant"
        log.warning("(almost) every validation image is called %s (%.1f %% malignant)", name, 100 * rate)
    if row["val_roc_auc"] < _CHANCE:
        log.warning(
            "the scores rank hardly better than chance (ROC-AUC %.3f): lower learning_rate, or look at the labels",
            row["val_roc_auc"],
        )
    if row["data_wait"] > _WAIT_WARNING:
        log.warning(
            "the step waited for data %.0f %% of the time: give more CPU cores, or cache=memory", 100 * row["data_wait"]
        )
