"""What is like the training images: distances of a network's pooled features, and the limit, as graph operations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from components.common.statistics.outliers import Gaussian


@dataclass(frozen=True)
class Familiar:
    """The training images as the network sees them."""

    gaussians: Sequence[Gaussian]
    limit: float

    def distance(self, features: Sequence[Any]) -> Any:
        """`outliers.distances` in TensorFlow: float32 [N, c] for each depth to float32 [N]."""
        import tensorflow as tf

        whitened = [
            tf.matmul(values - one.mean, tf.constant(one.whitening))
            for one, values in zip(self.gaussians, features, strict=True)
        ]
        found = [tf.sqrt(tf.reduce_mean(values * values, axis=1)) for values in whitened]
        return tf.add_n(found) / float(len(found))
