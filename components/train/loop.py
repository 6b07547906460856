"""The training loop: epochs, validation, best model, resume, recovery from divergence."""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import keras
import numpy as np
import numpy.typing as npt

from components.common.runtime.errors import TrainingError
from components.common.runtime.events import Progress, progress
from components.common.runtime.resources import peak_bytes
from components.train.checkpoint import Arrays, Checkpoint, CheckpointStore
from components.train.config import TrainConfig
from components.train.device import device_peak_bytes
from components.train.epoch_report import Cost, Watcher, best_place, history_row, log_epoch, loss_text
from components.train.feed import TrainFeed, plain_batches
from components.train.metrics import ValidationMetrics, validation_metrics
from components.train.network import Network
from components.train.records import SplitData
from components.train.schedule import RunState, learning_rate
from components.train.sigterm import StopAskedError, StoppedError, StopRequest
from components.train.steps import Step, example_loss, make_forward, mean_loss, set_learning_rate
from components.train.weight_average import WeightAverage

log = logging.getLogger(__name__)
_AHEAD = 2  # steps the host may be ahead of the device before it reads a loss
_VAL_BATCH = 64


class DivergenceError(Exception):
    """A loss or a validation logit is NaN or infinite; the loop goes back to the last good state."""


@dataclass(frozen=True)
class Scored:
    """Predictions for a split.

    Attributes:
        logit: (n,) malignant logits.
        metrics: of these, with the loss.
    """

    logit: npt.NDArray[np.float64]
    metrics: ValidationMetrics


@dataclass
class Loop:
    """A training run; `run` takes it from its current state to its end.

    Attributes:
        config: parameters.
        network: what is trained; holds the best weights after `run`.
        optimizer: with built variables.
        step: one training step.
        feed: training batches.
        val: what the run is judged and stopped by: the validation split, or a fold left out.
        average: moving average of the weights.
        store: the checkpoint.
        watchers: each is called with every finished row of history, such as a TensorBoard writer.
    """

    config: TrainConfig
    network: Network
    optimizer: keras.optimizers.Optimizer
    step: Step
    feed: TrainFeed
    val: SplitData
    average: WeightAverage
    store: CheckpointStore
    watchers: Sequence[Watcher]

    def __post_init__(self) -> None:
        self.state = RunState()
        self._best: list[npt.NDArray[np.generic]] = []
        self._forward = make_forward(self.network.outputs)

    def run(self, start: Checkpoint | None, stop: StopRequest) -> Scored:
        """Trains to the end and puts the best weights into the network.

        Args:
            start: checkpoint to resume from; None starts from the beginning (the network may be warmed up).
            stop: set by SIGTERM.

        Returns:
            The scores of the best weights on what the run is judged by.

        Raises:
            StoppedError: SIGTERM; the state is saved.
            TrainingError: diverged twice.
        """
        if start is not None:
            self.restore(start)
            log.info("resuming %s", _place(self.state))
            for row in self.state.history:
                self._show(row)
        elif self.config.head_epochs:
            self._judge(self.score().metrics, math.nan, 0.0, Cost())
        good, stop.saves = self.snapshot(), True
        if start is None:  # a folder that cannot be written to is known now, not after the first epoch
            self.store.save(good.state, good.arrays)
        while self.state.epoch < self.config.epochs and not self.state.stops_early(self.config):
            try:
                self._epoch(stop)
            except DivergenceError as error:
                self._recover(good, error)
            else:
                good = self.snapshot()
            self.store.save(good.state, good.arrays)
        if self.state.epoch < self.config.epochs:
            log.info("stopped early: no better average precision for %d epochs", self.state.wait)
        self._assign(self.network.classifier.variables, self._best)
        log.info("best average precision: %.4f, %s", self.state.best, best_place(self.state))
        return self.score(averaged=False)

    def score(self, stop: StopRequest | None = None, *, averaged: bool = True) -> Scored:
        """Scores of what the run is judged by.

        Raises:
            DivergenceError: a logit is not finite.
            StopAskedError: SIGTERM came between two batches.
        """
        if averaged:
            with self.average.applied():
                return self.score(stop, averaged=False)
        out = self._forward(_watched(plain_batches(self.val, _VAL_BATCH), stop))
        bad = ~np.isfinite(out).all(axis=1)
        if bad.any():
            raise DivergenceError(f"the logits of {int(bad.sum())} validation images are not finite")
        return scored_from(out, self.val, self.config)

    def snapshot(self) -> Checkpoint:
        """A copy of everything that decides how the run continues."""
        arrays: Arrays = {
            "weights": [v.numpy() for v in self.network.classifier.variables],
            "optimizer": [v.numpy() for v in self.optimizer.variables],
            "average": list(self.average.values()),
            "best": self._best,
        }
        return Checkpoint(self.store.identity, _copy(self.state), arrays)

    def restore(self, point: Checkpoint) -> None:
        """Puts a snapshot back."""
        self.state = _copy(point.state)
        self._assign(self.network.classifier.variables, point.arrays["weights"])
        self._assign(self.optimizer.variables, point.arrays["optimizer"])
        self.average.set_values(point.arrays["average"])
        self._best = list(point.arrays["best"])

    def _epoch(self, stop: StopRequest) -> None:
        state, first = self.state, self.state.step
        self.feed.waited, started = 0.0, time.perf_counter()
        rate = learning_rate(self.config, state, self.feed.steps - 1, self.feed.steps)
        with progress(f"epoch {state.epoch + 1} of {self.config.epochs}", self.feed.steps) as bar:
            self._steps(bar, stop)
        trained = time.perf_counter()
        try:
            scored = self.score(stop)
        except StopAskedError:  # the steps are done: a resumed run begins with validation
            self._leave()
        images, val_seconds = (self.feed.steps - first) * self.feed.batch_size, time.perf_counter() - trained
        cost = Cost(images, trained - started, self.feed.waited, val_seconds, peak_bytes(), device_peak_bytes())
        loss = state.loss_sum / self.feed.steps
        state.epoch, state.step, state.loss_sum = state.epoch + 1, 0, 0.0
        self._judge(scored.metrics, loss, rate, cost)

    def _steps(self, bar: Progress, stop: StopRequest) -> None:
        state, pending = self.state, deque[Any]()
        bar.advance(state.step)
        batches = self.feed.epoch(state.epoch, state.step)
        try:
            for batch in batches:
                rate = learning_rate(self.config, state, state.step, self.feed.steps)
                set_learning_rate(self.optimizer, rate)
                pending.append(self.step(batch))
                state.step += 1
                self.average.update(state.epoch * self.feed.steps + state.step)
                if len(pending) > _AHEAD:
                    self._count(pending)
                known = state.step - len(pending)
                bar.advance(note=f"loss {loss_text(state.loss_sum / known)}" if known else "")
                if stop.asked or self.store.due():
                    self._drain(pending)
                    if stop.asked:
                        self._leave()
                    self._save()
            self._drain(pending)
        finally:
            batches.close()  # type: ignore[attr-defined]

    def _count(self, pending: deque[Any]) -> None:
        """Adds the oldest loss that has not been read."""
        value = float(pending.popleft())
        if not math.isfinite(value):
            step = self.state.step - len(pending)
            raise DivergenceError(f"the loss is {value} at step {step} of epoch {self.state.epoch + 1}")
        self.state.loss_sum += value

    def _drain(self, pending: deque[Any]) -> None:
        while pending:
            self._count(pending)

    def _save(self) -> None:
        point = self.snapshot()
        self.store.save(point.state, point.arrays)

    def _leave(self) -> NoReturn:
        self._save()
        raise StoppedError(
            f"stopped by SIGTERM in epoch {self.state.epoch + 1} after step {self.state.step}; "
            + (
                f"run the same command to resume from {self.store.uri}"
                if self.store.uri
                else "nothing is saved, because no checkpoint_dir was given"
            )
        )

    def _judge(self, metrics: ValidationMetrics, loss: float, lr: float, cost: Cost) -> None:
        state, factor = self.state, self.state.rate_factor
        if state.judge(metrics.average_precision, self.config):
            with self.average.applied():
                self._best = [v.numpy() for v in self.network.classifier.variables]
        row = history_row(state.epoch, lr, loss, metrics, cost)
        if not math.isnan(loss):  # the head's warm-up is judged, but it is not an epoch
            state.history.append(row)
            self._show(row)
            log_epoch(row, self.config, state)
        else:
            log.info(
                "after head warm-up: val loss %s  val AP %.3f  val AUC %.3f",
                loss_text(metrics.loss),
                metrics.average_precision,
                metrics.roc_auc,
            )
        if state.rate_factor != factor:
            peak = self.config.learning_rate * state.rate_factor
            log.info("plateau: learning rate lowered to %.3g", peak)

    def _show(self, row: dict[str, Any]) -> None:
        for watch in self.watchers:
            watch(row)

    def _recover(self, good: Checkpoint, error: DivergenceError) -> None:
        if self.state.recoveries:
            raise TrainingError(
                f"diverged again after the learning rate was lowered: {error}; lower learning_rate "
                f"(received {self.config.learning_rate:g}), or use precision float32"
            ) from error
        log.warning("%s: continuing %s with a tenth of the learning rate", error, _place(good.state))
        self.restore(good)
        self.state.lower_after_divergence()
        good.state.recoveries, good.state.rate_factor = self.state.recoveries, self.state.rate_factor

    @staticmethod
    def _assign(variables: list[Any], values: list[npt.NDArray[np.generic]]) -> None:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)


def score_split(network: Network, data: SplitData, config: TrainConfig) -> Scored:
    """Scores of a split by a network with its weights as they are."""
    return scored_from(make_forward(network.outputs)(plain_batches(data, _VAL_BATCH)), data, config)


def scored_from(out: npt.NDArray[np.float64], data: SplitData, config: TrainConfig) -> Scored:
    """Scores of a split from target logits and malignant logit side by side, (n, k + 1)."""
    truth = data.rows.label if config.target == "binary" else data.rows.dx
    per_image = example_loss(config.target, config.label_smoothing, out.shape[1] - 1)
    return Scored(out[:, -1], validation_metrics(data.rows.label, out[:, -1], mean_loss(per_image, out[:, :-1], truth)))


def _watched(batches: Iterator[npt.NDArray[np.uint8]], stop: StopRequest | None) -> Iterator[npt.NDArray[np.uint8]]:
    for batch in batches:
        if stop is not None:
            stop.raise_if_asked()
        yield batch


def _place(state: RunState) -> str:
    """Where a run continues, as a log line says it."""
    number = state.epoch + 1
    return f"after step {state.step} of epoch {number}" if state.step else f"at the start of epoch {number}"


def _copy(state: RunState) -> RunState:
    return RunState(**{**vars(state), "history": list(state.history)})
