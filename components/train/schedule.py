"""The learning rate at every step, and the counters that follow exact average precision."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from components.train.config import TrainConfig

_NAN_FACTOR = 0.1  # after a divergence the same rate would diverge again


@dataclass
class RunState:
    """Everything but arrays that decides how a run continues; survives a lost node.

    Attributes:
        epoch: epochs finished.
        step: steps done of the epoch that comes next, 0 at its start.
        loss_sum: sum of the losses of those steps.
        best: best exact average precision on validation so far; -1 before the first.
        best_epoch: the epoch that reached it; 0 is the state after head warm-up.
        wait: epochs since then.
        plateau_wait: epochs without a better value since the rate was last lowered.
        rate_factor: what plateaus and divergences have multiplied the learning rate by.
        recoveries: returns to the last good checkpoint after a NaN.
        history: one row per epoch.
    """

    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    best: float = -1.0
    best_epoch: int = 0
    wait: int = 0
    plateau_wait: int = 0
    rate_factor: float = 1.0
    recoveries: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)

    def judge(self, value: float, config: TrainConfig) -> bool:
        """Counts the epoch just finished; True when its average precision is the best so far."""
        if value > self.best:
            self.best, self.best_epoch, self.wait, self.plateau_wait = value, self.epoch, 0, 0
            return True
        self.wait += 1
        self.plateau_wait += 1
        if config.schedule == "plateau" and self.plateau_wait >= (config.plateau_patience or 2):
            self.rate_factor *= config.plateau_factor or 0.5
            self.plateau_wait = 0
        return False

    def stops_early(self, config: TrainConfig) -> bool:
        """Whether early stopping ends the run here."""
        return 0 < config.early_stopping_patience <= self.wait

    def lower_after_divergence(self) -> None:
        """Counts a recovery and lowers the learning rate for the rest of the run."""
        self.recoveries += 1
        self.rate_factor *= _NAN_FACTOR


def learning_rate(config: TrainConfig, state: RunState, step: int, steps: int) -> float:
    """The learning rate of one step.

    Args:
        config: peak, schedule, warm-up.
        state: supplies the epoch and the factor.
        step: step within the epoch, from 0.
        steps: steps per epoch.

    Returns:
        plateau: peak times factor. cosine: linear warm-up, then half a cosine to zero over all epochs
        (Loshchilov and Hutter 2017, arXiv:1608.03983), times the factor.
    """
    peak = config.learning_rate * state.rate_factor
    if config.schedule == "plateau":
        return peak
    done = state.epoch * steps + step
    total = max(1, config.epochs * steps)
    warm = min(config.warmup_epochs * steps, total / 2)  # a one-epoch run still has a cosine
    if done < warm:
        return peak * (done + 1) / (warm + 1)
    return peak * 0.5 * (1 + math.cos(math.pi * (done - warm) / max(1.0, total - warm)))
