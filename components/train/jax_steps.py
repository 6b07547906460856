"""The same compiled parts on JAX, where TensorFlow need not even be installed: pure functions of the variables' values.

Keras's variables stay the one place where the state is, as on TensorFlow, so that checkpoints, averages
and the learning rate work alike; a step reads their values, and puts the new ones back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
import numpy.typing as npt

from components.train.config import TrainConfig
from components.train.feed import Batch


def make_jax_step(
    config: TrainConfig,
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    loss_of: Callable[[Any, Any], Any],
) -> Callable[[Batch], Any]:
    """One step of training: a batch in, its mean weighted loss (a scalar array) out.

    Args:
        config: target.
        model: RGB 0..255 to target logits.
        optimizer: with its variables built.
        loss_of: loss of each image, from logits and targets.
    """
    trained, rest, kept = model.trainable_variables, model.non_trainable_variables, optimizer.variables

    def scaled_loss(values: Any, others: Any, state: Any, images: Any, truth: Any, weight: Any) -> Any:
        logits, others = model.stateless_call(values, others, images.astype("float32"), training=True)
        loss = jnp.mean(weight * loss_of(logits, truth))
        with keras.StatelessScope(state_mapping=list(zip(kept, state, strict=True))):
            return optimizer.scale_loss(loss), (loss, others)

    def advance(values: Any, others: Any, state: Any, images: Any, truth: Any, weight: Any) -> Any:
        derive = jax.value_and_grad(scaled_loss, has_aux=True)
        (_, (loss, others)), gradients = derive(values, others, state, images, truth, weight)
        values, state = optimizer.stateless_apply(state, gradients, values)
        return loss, values, others, state

    # the old values are never read again: their memory is used for the new ones
    compiled = jax.jit(advance, donate_argnums=(0, 1, 2))

    def run(batch: Batch) -> Any:
        truth = batch.label if config.target == "binary" else batch.dx
        loss, *new = compiled(_values(trained), _values(rest), _values(kept), batch.images, truth, batch.weight)
        for variables, values in zip((trained, rest, kept), new, strict=True):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
        return loss

    return run


def make_jax_forward(
    model: keras.Model,
) -> Callable[[Iterable[npt.NDArray[np.uint8]]], npt.NDArray[np.float64]]:
    """A function from batches of uint8 images to the model's output over all of them, (n, k) float64."""
    trained, rest = model.trainable_variables, model.non_trainable_variables

    @jax.jit
    def forward(values: Any, others: Any, images: Any) -> Any:
        out, _ = model.stateless_call(values, others, images.astype("float32"), training=False)
        return out.astype("float32")

    def run(batches: Iterable[npt.NDArray[np.uint8]]) -> npt.NDArray[np.float64]:
        values, others = _values(trained), _values(rest)
        return np.concatenate([np.asarray(forward(values, others, batch)) for batch in batches]).astype(np.float64)

    return run


def _values(variables: Sequence[Any]) -> list[Any]:
    return [variable.value for variable in variables]
