"""Head warm-up: the backbone's features are computed once, and the head alone is trained on them."""

from __future__ import annotations

import logging

import keras
import numpy as np
import numpy.typing as npt

from components.train.config import TrainConfig
from components.train.feed import plain_batches
from components.train.network import Network
from components.train.records import SplitData
from components.train.steps import example_loss, make_forward

log = logging.getLogger(__name__)
_BATCH = 256
_RATE = 2e-3
_FEATURE_BATCH = 64


def warm_up_head(config: TrainConfig, network: Network, data: SplitData, by_class: npt.NDArray[np.float32]) -> None:
    """Trains `network.head` for `head_epochs` passes over features of the plain images: one pass of the backbone."""
    features = make_forward(network.features)(plain_batches(data, _FEATURE_BATCH)).astype(np.float32)
    truth = (data.rows.label if config.target == "binary" else data.rows.dx).astype(np.int32)
    # features differ in scale by orders of magnitude between backbones; the head learns on standardised ones
    mean, spread = features.mean(axis=0), features.std(axis=0) + 1e-3
    probe = keras.layers.Dense(network.head.units, kernel_initializer="zeros", dtype="float32")
    model = keras.Sequential([keras.Input(features.shape[1:]), probe])
    per_image = example_loss(config.target, config.label_smoothing, network.head.units)
    model.compile(
        keras.optimizers.AdamW(_RATE, weight_decay=config.weight_decay),
        loss=lambda y, logits: per_image(logits, keras.ops.cast(keras.ops.reshape(y, (-1,)), "int32")),
        jit_compile=keras.backend.backend() == "jax",
    )
    fitted = model.fit(
        (features - mean) / spread,
        truth,
        sample_weight=by_class[data.rows.label],
        epochs=config.head_epochs,
        batch_size=_BATCH,
        verbose=0,
    )
    kernel, bias = probe.get_weights()
    kernel = kernel / spread[:, None]
    network.head.set_weights([kernel, bias - mean @ kernel])
    losses = fitted.history["loss"]
    log.info(
        "head warm-up: %d epochs on features of %d images, loss %.4f to %.4f",
        config.head_epochs,
        len(features),
        losses[0],
        losses[-1],
    )
