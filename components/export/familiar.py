"""What is like the training images: a network's pooled features at every depth, and distances between them.

Features are the network's own, averaged over the image: the last map of each halving of the image.
"""

from __future__ import annotations

import math
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


def with_pooled_features(network: Any) -> Any | None:
    """The same layers as a network that also gives its pooled features.

    Nested networks (backbones, members of an ensemble) are looked into.

    Args:
        network: a `keras.Model`: [n, h, w, 3] to logit [n, 1], or to several such.

    Returns:
        A `keras.Model` from the same images to [logits, (n, c) float32 for each depth]; None where the network has no
        map smaller than its input.
    """
    import keras

    height = network.input_shape[1]
    last: dict[int, Any] = {}  # by how often the image was halved
    pooled: list[Any] = []

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        nested = isinstance(layer, keras.Model) and not isinstance(layer, keras.Sequential)
        inner = with_pooled_features(layer) if nested else None
        if inner is not None:
            out, *found = inner(args[0])
            pooled.extend(found)
            return out
        out = layer(*args, **kwargs)
        if _is_map(out):
            last[round(math.log2(height / out.shape[1]))] = out
        return out

    twin = keras.models.clone_model(network, clone_function=lambda layer: layer, call_function=call)
    maps = [last[halved] for halved in sorted(last) if halved > 0]
    pooled.extend(keras.ops.mean(keras.ops.cast(one, "float32"), axis=(1, 2)) for one in maps)
    return keras.Model(twin.inputs[0], [*twin.outputs, *pooled]) if pooled else None


def _is_map(out: Any) -> bool:
    """Whether a layer gives one feature map, and not the single point of squeeze-and-excitation."""
    shape: tuple[int | None, ...] = tuple(getattr(out, "shape", ()))
    return len(shape) == 4 and None not in shape[1:] and shape[1:3] != (1, 1)
