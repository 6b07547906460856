"""The compiled parts: one training step, scoring, features; TensorFlow or JAX runs them, Keras defines the layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from components.train.config import TrainConfig
from components.train.feed import Batch
from components.train.network import Network

Step = Callable[[Batch], Any]


def make_optimizer(config: TrainConfig, network: Network, policy: str) -> keras.optimizers.Optimizer:
    """AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101) without decay of biases and norms, its variables built.

    float16 gets a dynamic loss scale around it: its gradients would vanish otherwise.
    """
    inner = keras.optimizers.AdamW(config.learning_rate, weight_decay=config.weight_decay)
    inner.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    optimizer = keras.optimizers.LossScaleOptimizer(inner) if policy == "mixed_float16" else inner
    optimizer.build(network.classifier.trainable_variables)
    return optimizer


def set_learning_rate(optimizer: keras.optimizers.Optimizer, rate: float) -> None:
    """Sets the rate of the optimizer, or of the one inside a loss scale."""
    getattr(optimizer, "inner_optimizer", optimizer).learning_rate = rate


def example_loss(target: str, smoothing: float, classes: int) -> Callable[[Any, Any], Any]:
    """Loss of each image, (n,) float32, from target logits (n, k) and targets (n,).

    Cross-entropy of a sigmoid (binary) or a softmax (diagnosis), from logits; `smoothing` is spread
    evenly over the classes (Szegedy 2016, arXiv:1512.00567).
    """

    def binary(logits: Any, truth: Any) -> Any:
        aim = ops.cast(truth, "float32") * (1 - smoothing) + smoothing / 2
        return ops.binary_crossentropy(aim, logits[:, 0], from_logits=True)

    def diagnosis(logits: Any, truth: Any) -> Any:
        aim = ops.one_hot(truth, classes) * (1 - smoothing) + smoothing / classes
        return ops.categorical_crossentropy(aim, logits, from_logits=True)

    return binary if target == "binary" else diagnosis


def mean_loss(per_image: Callable[[Any, Any], Any], logits: npt.NDArray[Any], truth: npt.NDArray[Any]) -> float:
    """Mean of `example_loss` over images, unweighted, from target logits (n, k) and targets (n,)."""
    loss = per_image(ops.convert_to_tensor(logits, "float32"), ops.convert_to_tensor(truth, "int32"))
    return float(np.mean(ops.convert_to_numpy(loss), dtype=np.float64))


def make_train_step(
    config: TrainConfig,
    network: Network,
    optimizer: keras.optimizers.Optimizer,
    *,
    compile_xla: bool,
    strategy: Any = None,
) -> Step:
    """One step of training: a batch in, its mean weighted loss (a scalar tensor) out.

    Args:
        config: target, label smoothing.
        network: what is trained.
        optimizer: with its variables built.
        compile_xla: compile with XLA; on a CPU that is twelve times slower for depthwise convolutions.
        strategy: spreads each batch over several devices, see `replicas`; None for one device.
    """
    model = network.classifier
    loss_of = example_loss(config.target, config.label_smoothing, model.output_shape[-1])
    if keras.backend.backend() == "jax":
        from components.train.jax_steps import make_jax_step

        return make_jax_step(config, model, optimizer, loss_of)
    import tensorflow as tf

    from components.train.replicas import agree_on_overflow, replicated

    scales = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)

    def advance(share: Any, images: Any, truth: Any, weight: Any) -> Any:
        with tf.GradientTape() as tape:
            logits = model(tf.cast(images, tf.float32), training=True)
            loss = share * tf.reduce_mean(weight * loss_of(logits, truth))
            scaled = optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, model.trainable_variables)
        if scales and strategy is not None:
            gradients = agree_on_overflow(gradients)
        optimizer.apply(gradients, model.trainable_variables)
        return loss

    if strategy is None:
        step = tf.function(partial(advance, 1.0), jit_compile=compile_xla or None)
    else:
        step = replicated(strategy, advance)

    def run(batch: Batch) -> Any:
        return step(batch.images, batch.label if config.target == "binary" else batch.dx, batch.weight)

    return run


def make_forward(model: keras.Model) -> Callable[[Iterable[npt.NDArray[np.uint8]]], npt.NDArray[np.float64]]:
    """A function from batches of uint8 images to the model's output over all of them, (n, k) float64."""
    if keras.backend.backend() == "jax":
        from components.train.jax_steps import make_jax_forward

        return make_jax_forward(model)
    import tensorflow as tf

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def forward(images: Any) -> Any:
        return tf.cast(model(tf.cast(images, tf.float32), training=False), tf.float32)

    def run(batches: Iterable[npt.NDArray[np.uint8]]) -> npt.NDArray[np.float64]:
        return np.concatenate([forward(tf.constant(batch)).numpy() for batch in batches]).astype(np.float64)

    return run
