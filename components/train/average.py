"""Exponential moving average of the weights (Polyak and Juditsky 1992): scored and saved instead of the last ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf

EVERY = 4  # steps: a copy of all weights at each step would cost a CPU several percent


class WeightAverage:
    """Follows `variables` once in `EVERY` steps with the given decay; 0 follows nothing."""

    def __init__(self, variables: Sequence[Any], decay: float) -> None:
        self.variables, self.decay = list(variables), decay
        self.shadow = [tf.Variable(v.value, trainable=False) for v in self._followed()]
        self._follow = tf.function(self._assign)

    def update(self, step: int) -> None:
        """Called after each step with its number in the run, from 1."""
        if self.decay and step % EVERY == 0:
            # at the start the average would be mostly the initial weights: follow faster there
            seen = step // EVERY
            self._follow(tf.constant(min(self.decay, seen / (seen + 9)), tf.float32))

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside, the variables hold the average."""
        followed = self._followed()
        kept = [v.numpy() for v in followed]
        for variable, shadow in zip(followed, self.shadow, strict=True):
            variable.assign(shadow)
        try:
            yield
        finally:
            for variable, value in zip(followed, kept, strict=True):
                variable.assign(value)

    def values(self) -> list[np.ndarray[Any, Any]]:
        """The averages, for a checkpoint."""
        return [shadow.numpy() for shadow in self.shadow]

    def set_values(self, values: Sequence[np.ndarray[Any, Any]]) -> None:
        """Restores the averages."""
        for shadow, value in zip(self.shadow, values, strict=True):
            shadow.assign(value)

    def _followed(self) -> list[Any]:
        return [v for v in self.variables if v.dtype == "float32"] if self.decay else []

    def _assign(self, decay: Any) -> None:
        for shadow, variable in zip(self.shadow, self._followed(), strict=True):
            shadow.assign(shadow * decay + variable.value * (1 - decay))
