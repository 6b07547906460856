"""What is said of an epoch: a log line to find by grep, a block below it, a row of `history.csv`."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from components.common.runtime.events import emit
from components.train.config import TrainConfig
from components.train.metrics import ValidationMetrics
from components.train.schedule import RunState

log = logging.getLogger(__name__)

_WAIT_WARNING = 0.10
_CHANCE = 0.55  # ROC-AUC; below it the scores hardly rank at all
Watcher = Callable[[dict[str, Any]], None]  # is called with the row of each finished epoch


@dataclass(frozen=True)
class Cost:
    """Time and memory of an epoch.

    Attributes:
        images: trained on.
        seconds: of training.
        waited: seconds of these in which no batch was ready.
        val_seconds: of scoring the validation images.
        peak: peak resident memory of the process so far, bytes.
        device_peak: peak memory used on the GPU so far, bytes; 0 without one.
    """

    images: int = 0
    seconds: float = 0.0
    waited: float = 0.0
    val_seconds: float = 0.0
    peak: int = 0
    device_peak: int = 0


def history_row(epoch: int, lr: float, loss: float, metrics: ValidationMetrics, cost: Cost) -> dict[str, Any]:
    """One row of `history.csv`; the last six columns are about this machine, not about the result.

    Args:
        epoch: from 1.
        lr: learning rate of its last step.
        loss: mean weighted training loss.
        metrics: of the split the run is judged by.
        cost: time and memory.
    """
    return {
        "epoch": epoch,
        "learning_rate": lr,
        "loss": loss,
        "val_loss": metrics.loss,
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
    """`history.csv` of at least one epoch: LF, header, numbers with all their digits."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(history[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return buffer.getvalue()


def shown_line(row: Mapping[str, Any], epochs: int, state: RunState) -> str:
    """The short line for a person who watches the run: validation, the best so far, the time left."""
    best = "(best)" if state.best_epoch == row["epoch"] else f"(best {state.best:.3f})"
    left = duration_text(_seconds_left(row, epochs, state))
    ends = f"  {left} left" if row["epoch"] < epochs else ""
    return f"epoch {row['epoch']}/{epochs}  val AP {row['val_average_precision']:.3f} {best}{ends}"


def epoch_line(row: Mapping[str, Any], epochs: int, state: RunState) -> str:
    """The full line of an epoch; no other line of the log contains `epoch N/M`."""
    better = state.best_epoch == row["epoch"]
    parts = [
        f"epoch {row['epoch']}/{epochs}",
        f"train loss {loss_text(row['loss'])}",
        f"val loss {loss_text(row['val_loss'])}",
        f"val AP {row['val_average_precision']:.3f} "
        + ("(best)" if better else f"(best {state.best:.3f} {best_place(state)})"),
        f"val AUC {row['val_roc_auc']:.3f}",
        f"lr {row['learning_rate']:.1e}",
        f"{row['images_per_s']:.0f} img/s",
        f"{_seconds(row):.0f} s",
    ]
    left = duration_text(_seconds_left(row, epochs, state))
    return "  ".join(parts + ([f"about {left} left"] if row["epoch"] < epochs else []))


def best_place(state: RunState) -> str:
    """When the best average precision was reached."""
    return f"in epoch {state.best_epoch}" if state.best_epoch else "after head warm-up"


def confusion_block(row: Mapping[str, Any]) -> str:
    """The confusion matrix of validation at p >= 0.5, rates, times and memory."""
    gpu = f", GPU {row['device_memory_peak_mb']:,} MB" if row["device_memory_peak_mb"] else ""
    return "\n".join(
        [
            "  validation, p >= 0.5   predicted benign   predicted malignant",
            f"  actual benign        {row['tn']:>18}{row['fp']:>22}   specificity {row['val_specificity']:.3f}",
            f"  actual malignant     {row['fn']:>18}{row['tp']:>22}   sensitivity {row['val_sensitivity']:.3f}",
            f"  predicted positive rate {_percent(row['val_predicted_positive_rate'])}, "
            f"prevalence {_percent(row['val_prevalence'])}",
            f"  training {row['seconds']:.0f} s, validation {row['val_seconds']:.0f} s, "
            f"waiting for data {_percent(row['data_wait'])}, memory peak {row['memory_peak_mb']:,} MB{gpu}",
        ]
    )


def log_epoch(row: Mapping[str, Any], config: TrainConfig, state: RunState) -> None:
    """Logs line and block, how close early stopping is, and a warning for each sign of trouble."""
    emit({"event": "line", "text": shown_line(row, config.epochs, state)})
    log.info("%s\n%s", epoch_line(row, config.epochs, state), confusion_block(row))
    if state.wait and config.early_stopping_patience:
        patience = config.early_stopping_patience
        log.info("early stopping: %d of %d epochs without a better average precision", state.wait, patience)
    if row["one_class"]:
        rate = row["val_predicted_positive_rate"]
        log.warning(
            "degenerate model so far: predicts %s for (almost) every validation image (predicted positive rate %s, "
            "prevalence %s)",
            "benign" if rate < 0.5 else "malignant",
            _percent(rate),
            _percent(row["val_prevalence"]),
        )
    if row["val_roc_auc"] < _CHANCE:
        log.warning(
            "the scores rank hardly better than chance (ROC-AUC %.3f): lower learning_rate, or check the labels",
            row["val_roc_auc"],
        )
    if row["data_wait"] > _WAIT_WARNING:
        log.warning(
            "training waited for data %.0f %% of the time: give it more CPU cores, or cache=memory",
            100 * row["data_wait"],
        )


def loss_text(loss: float) -> str:
    """A loss with three decimals, or in scientific form where those would all be zero."""
    return f"{loss:.3f}" if not abs(loss) < 5e-4 else f"{loss:.1e}"


def duration_text(seconds: float) -> str:
    """`1:30` is a minute and a half, `2:05:00` two hours and five minutes."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _seconds(row: Mapping[str, Any]) -> float:
    return float(row["seconds"]) + float(row["val_seconds"])


def _seconds_left(row: Mapping[str, Any], epochs: int, state: RunState) -> float:
    return (epochs - int(row["epoch"])) * fmean([_seconds(one) for one in state.history] or [_seconds(row)])


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
