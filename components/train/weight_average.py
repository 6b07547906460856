"""Exponential moving average of the weights (Polyak and Juditsky 1992): scored and saved instead of the last ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from components.train.backend import compiled

EVERY = 4  # steps: a copy of all weights at each step would cost a CPU several percent


class WeightAverage:
    """Averages `variables` every `EVERY` steps with the given decay; 0: no average."""

    def __init__(self, variables: Sequence[Any], decay: float) -> None:
        self.decay = decay
        self.followed = [v for v in variables if v.dtype == "float32"] if decay else []
        self.shadow = [keras.ops.convert_to_tensor(v.numpy()) for v in self.followed]
        self._follow = compiled(_towards)

    def update(self, step: int) -> None:
        """Called after each step with its number in the run, from 1."""
        if self.decay and step % EVERY == 0:
            # at the start the average would be mostly the initial weights: follow faster there
            seen = step // EVERY
            decay = np.float32(min(self.decay, seen / (seen + 9)))
            now = [keras.ops.convert_to_tensor(v) for v in self.followed]
            self.shadow = self._follow(self.shadow, now, keras.ops.convert_to_tensor(decay))

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside, the variables hold the average."""
        kept = [v.numpy() for v in self.followed]
        for variable, shadow in zip(self.followed, self.shadow, strict=True):
            variable.assign(shadow)
        try:
            yield
        finally:
            for variable, value in zip(self.followed, kept, strict=True):
                variable.assign(value)

    def values(self) -> list[np.ndarray[Any, Any]]:
        """The averages, for a checkpoint."""
        return [keras.ops.convert_to_numpy(shadow) for shadow in self.shadow]

    def set_values(self, values: Sequence[np.ndarray[Any, Any]]) -> None:
        """Restores the averages."""
        self.shadow = [keras.ops.convert_to_tensor(value) for value in values]


def _towards(shadow: Any, now: Any, decay: Any) -> Any:
    return [old * decay + new * (1 - decay) for old, new in zip(shadow, now, strict=True)]
