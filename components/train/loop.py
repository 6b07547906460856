"""The training loop: epochs, exact validation, best weights, early stopping, recovery from NaN."""

from __future__ import annotations

import logging
import math
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from components.common.errors import TrainingError
from components.common.events import progress
from components.train.checkpoint import State
from components.train.config import TrainConfig
from components.train.epoch_log import epoch_block
from components.train.examples import Examples
from components.train.feed import Batch, Feed
from components.train.network import Network
from components.train.schedule import Schedule
from components.train.validation import Validation, judge

_SCORE_BATCH = 64
_AFTER_NAN = 0.1  # factor on the learning rate when an epoch is repeated after NaN

log = logging.getLogger(__name__)


class NotFiniteError(Exception):
    """The loss of a step was NaN or infinite."""


@dataclass
class Trainer:
    """Trains a network.

    Attributes:
        config: parameters of training.
        network: what is trained.
        train: training images.
        val: validation images.
        weights: weight of label 0 and 1 in the loss.
        dx_labels: label of each diagnosis, in the order of the logits.
        after_epoch: called with the state after each epoch: checkpoints, TensorBoard.
    """

    config: TrainConfig
    network: Network
    train: Examples
    val: Examples
    weights: dict[int, float]
    dx_labels: list[int]
    after_epoch: Callable[[State], None]

    def run(self, state: State) -> State:
        """Trains from `state` to the end; the network then holds the best weights.

        Raises:
            TrainingError: NaN a second time, or a model that gives every image the same score.
        """
        feed = Feed(self.train, self.config)
        schedule = Schedule(self.config, feed.steps, state.scale, state.stale)
        self._compile()
        if state.epoch:
            self._restore(state)
            log.info("resumed after epoch %d, best average precision %.4f", state.epoch, state.best_value)
        else:
            self._snapshot(state)
        patience = self.config.early_stopping_patience
        while state.epoch < self.config.epochs and not (patience and state.wait >= patience):
            try:
                row = self._epoch(state.epoch, feed, schedule)
            except NotFiniteError as error:
                self._recover(state, schedule, str(error))
                continue
            self._advance(state, schedule, row)
            self.after_epoch(state)
        self.network.trained.set_weights(state.best)
        scores = self.score(self.val.images)
        if float(scores.std()) < 1e-4:
            raise TrainingError(
                f"the model gives every validation image the same score ({scores.mean():.4f}); it has learned nothing: "
                "try another learning_rate, more epochs, or pretrained weights"
            )
        return state

    def score(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
        """(n,) raw malignant logits of (n, h, w, 3) images."""
        parts = [
            np.asarray(self.network.scoring.predict_on_batch(images[i : i + _SCORE_BATCH]), np.float64)[:, 0]
            for i in range(0, len(images), _SCORE_BATCH)
        ]
        return np.concatenate(parts)

    def _compile(self) -> None:
        optimizer = keras.optimizers.AdamW(self.config.learning_rate, weight_decay=self.config.weight_decay)
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
        smoothing = self.config.label_smoothing
        loss = (
            keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=smoothing)
            if self.config.target == "binary"
            else keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
        )
        on_gpu = bool(keras.distribution.list_devices("gpu"))
        # XLA helps on a GPU; on a CPU its convolutions are slower than oneDNN's
        self.network.trained.compile(optimizer, loss, jit_compile="auto" if on_gpu else False)

    def _epoch(self, epoch: int, feed: Feed, schedule: Schedule) -> dict[str, Any]:
        model = self.network.trained
        model.reset_metrics()
        started, waited, loss = time.perf_counter(), feed.waited_s, math.nan
        with progress(f"epoch {epoch + 1} of {self.config.epochs}", feed.steps) as bar:
            for step, batch in enumerate(feed.epoch(epoch)):
                model.optimizer.learning_rate.assign(schedule.rate(epoch * feed.steps + step))
                loss = float(model.train_on_batch(batch.images, **self._targets(batch), return_dict=True)["loss"])
                if not math.isfinite(loss):
                    raise NotFiniteError(f"loss is {loss} at step {step + 1} of epoch {epoch + 1}")
                bar.advance(note=f"loss {loss:.4f}")
        seconds = time.perf_counter() - started
        logits = self.score(self.val.images)
        if not np.isfinite(logits).all():
            raise NotFiniteError(f"validation scores are not finite after epoch {epoch + 1}")
        judged = judge(self.val.label, logits)
        rate = schedule.rate(epoch * feed.steps + feed.steps - 1)
        return _row(epoch, rate, loss, judged, feed, seconds, feed.waited_s - waited)

    def _targets(self, batch: Batch) -> dict[str, Any]:
        labels = self.train.label[batch.rows]
        if self.config.target == "binary":
            y = labels[:, None].astype("float32")
            by_class = self.weights
        else:
            y = np.eye(len(self.dx_labels), dtype="float32")[self.train.dx[batch.rows]]
            by_class = {i: self.weights[label] for i, label in enumerate(self.dx_labels)}
        if self.config.class_balance == "class_weight":
            return {"y": y, "class_weight": by_class}
        if self.config.class_balance == "sample_weight":
            return {"y": y, "sample_weight": np.where(labels == 1, self.weights[1], self.weights[0]).astype("float32")}
        return {"y": y}

    def _advance(self, state: State, schedule: Schedule, row: dict[str, Any]) -> None:
        improved = row["val_average_precision"] > state.best_value
        state.epoch += 1
        state.history.append(row)
        self._snapshot(state)
        if improved:
            state.best, state.best_value, state.wait = state.weights, row["val_average_precision"], 0
        else:
            state.wait += 1
        schedule.after_epoch(improved=improved)
        state.scale, state.stale = schedule.scale, schedule.stale
        log.info("%s", epoch_block(row, self.config.epochs, best=state.best_value, improved=improved))

    def _recover(self, state: State, schedule: Schedule, reason: str) -> None:
        if state.recovered:
            raise TrainingError(f"{reason}, again after going back once; lower learning_rate or use precision float32")
        log.warning("%s: back to the state after epoch %d, learning rate times %g", reason, state.epoch, _AFTER_NAN)
        self._restore(state)
        state.recovered, schedule.scale = True, schedule.scale * _AFTER_NAN
        state.scale = schedule.scale

    def _snapshot(self, state: State) -> None:
        optimizer = self.network.trained.optimizer
        optimizer.build(self.network.trained.trainable_variables)
        state.weights = self.network.trained.get_weights()
        state.optimizer = [np.asarray(variable) for variable in optimizer.variables]
        if not state.best:
            state.best = state.weights

    def _restore(self, state: State) -> None:
        optimizer = self.network.trained.optimizer
        optimizer.build(self.network.trained.trainable_variables)
        self.network.trained.set_weights(state.weights)
        for variable, value in zip(optimizer.variables, state.optimizer, strict=True):
            variable.assign(value)


def _row(
    epoch: int, rate: float, loss: float, judged: Validation, feed: Feed, seconds: float, waited: float
) -> dict[str, Any]:
    images = feed.steps * feed.config.batch_size
    return {
        "epoch": epoch + 1,
        "learning_rate": rate,
        "loss": loss,
        "val_average_precision": judged.average_precision,
        "val_roc_auc": judged.roc_auc,
        "val_sensitivity": judged.sensitivity,
        "val_specificity": judged.specificity,
        "val_predicted_positive_rate": judged.predicted_positive_rate,
        "val_prevalence": judged.prevalence,
        "tp": judged.tp, "fp": judged.fp, "tn": judged.tn, "fn": judged.fn,
        "one_class": judged.one_class,
        "seconds": round(seconds, 2),
        "images_per_s": round(images / seconds, 2),
        "data_wait": round(waited / seconds, 4),
        "memory_peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }  # fmt: skip
