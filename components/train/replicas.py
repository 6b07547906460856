"""Several devices in one pod: each holds the network and takes an equal share of every batch.

The global batch, its mean loss, its batch statistics and its update are those of one device that takes the
whole batch; only rounding and the dropout masks differ. TensorFlow only.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from components.common.runtime.errors import ConfigError
from components.train.device import Device

log = logging.getLogger(__name__)


def make_strategy(device: Device, batch_size: int) -> Any:
    """The distribution strategy of this run: None for one device, or all devices of the pod.

    Raises:
        ConfigError: fewer images in a batch than devices.
    """
    if device.count == 1:
        return None
    if keras.backend.backend() != "tensorflow":
        log.warning("%d GPUs found: training on JAX uses the first one only; request one GPU", device.count)
        return None
    if batch_size < device.count:
        raise ConfigError(f"batch_size: received {batch_size} on {device.count} devices; allowed: at least one each")
    import tensorflow as tf

    names = [one.name for one in tf.config.list_logical_devices(device.kind.upper())]
    # NCCL is for GPUs; elsewhere the gradients are added on the host
    across = None if device.kind == "gpu" else tf.distribute.ReductionToOneDevice()
    shares = "+".join(str(len(part)) for part in np.array_split(np.arange(batch_size), len(names)))
    log.info("replicas: %d, batch of %d as %s images, batch statistics shared", len(names), batch_size, shares)
    return tf.distribute.MirroredStrategy(names, cross_device_ops=across)


def scope(strategy: Any) -> AbstractContextManager[Any]:
    """Where variables of the network and of the optimizer must be made."""
    return nullcontext() if strategy is None else strategy.scope()


def share_batch_statistics(model: keras.Model, *, shared: bool) -> None:
    """Makes batch normalisation use the statistics of the whole batch, or of each device's share.

    A share of eight images has noisy statistics; to be undone before the model is saved.
    """
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = shared


def replicated(strategy: Any, one: Callable[..., Any]) -> Callable[..., Any]:
    """A step on whole batches from a step on one device's share.

    Args:
        strategy: of `make_strategy`.
        one: takes share / batch as a float, then arrays; its results are added up.

    Returns:
        Takes arrays whose first axis is the batch.
    """
    import tensorflow as tf

    @tf.function  # type: ignore[untyped-decorator]
    def everywhere(*shares: Any) -> Any:
        return strategy.reduce(tf.distribute.ReduceOp.SUM, strategy.run(one, shares), axis=None)

    def run(*batch: npt.NDArray[Any]) -> Any:
        count = strategy.num_replicas_in_sync
        parts: list[list[Any]] = [np.array_split(array, count) for array in batch]
        parts.insert(0, [np.float32(len(part) / len(batch[0])) for part in parts[0]])
        return everywhere(*(_each(strategy, values) for values in parts))

    return run


def agree_on_overflow(gradients: list[Any]) -> list[Any]:
    """The gradients of this device, or NaN on every device where one of them has overflowed.

    Keras's loss scale looks at the first device's gradients only, before they are added up: an overflow on
    another device would reach the weights.
    """
    import tensorflow as tf

    bad = tf.reduce_any([tf.reduce_any(~tf.math.is_finite(g)) for g in gradients])
    total = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, tf.cast(bad, tf.float32))
    return [tf.where(total > 0, tf.cast(np.nan, g.dtype), g) for g in gradients]


def _each(strategy: Any, values: list[Any]) -> Any:
    import tensorflow as tf

    return strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant(values[context.replica_id_in_sync_group])
    )
