"""The learning rate, as a function of where training is."""

from __future__ import annotations

import math
from dataclasses import dataclass

from components.train.config import TrainConfig

_FINAL_SHARE = 0.01


@dataclass
class Schedule:
    """Learning rate by step; `scale` is lowered by a plateau, or after NaN.

    Attributes:
        config: parameters of training.
        steps_per_epoch: training steps an epoch.
        scale: factor on the rate.
        stale: epochs since the metric last improved, for the plateau schedule.
    """

    config: TrainConfig
    steps_per_epoch: int
    scale: float = 1.0
    stale: int = 0

    def rate(self, step: int) -> float:
        """Learning rate of step `step`, counted from 0 over all epochs.

        Cosine: linear warm-up, then half a cosine to 1 % of the peak (Loshchilov and Hutter 2017).
        """
        peak = self.config.learning_rate * self.scale
        if self.config.schedule == "plateau":
            return peak
        warmup = self.config.warmup_epochs * self.steps_per_epoch
        total = self.config.epochs * self.steps_per_epoch
        if step < warmup:
            return peak * (step + 1) / (warmup + 1)
        share = (step - warmup) / max(1.0, total - warmup)
        return peak * (_FINAL_SHARE + (1 - _FINAL_SHARE) * 0.5 * (1 + math.cos(math.pi * min(1.0, share))))

    def after_epoch(self, *, improved: bool) -> None:
        """Lowers the rate when the plateau schedule says so."""
        self.stale = 0 if improved else self.stale + 1
        if self.config.schedule == "plateau" and self.stale >= (self.config.plateau_patience or 2):
            self.scale *= self.config.plateau_factor or 0.5
            self.stale = 0
