"""Batch normalisation of a training step as one TensorFlow operation, where Keras takes about ten.

On two CPU cores a step of EfficientNet-Lite0 takes a tenth less. TensorFlow only.
"""

from __future__ import annotations

from typing import Any

import keras


def fuse_batch_norm(model: keras.Model) -> None:
    """Makes the trainable batch normalisation of a model one operation in training.

    Only how its layers compute changes, for the life of this process; what is saved of them is as before.
    """
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable:
            _fuse(layer)


def _fuse(layer: keras.layers.BatchNormalization) -> None:
    import tensorflow as tf

    as_keras_has_it = layer.call

    def call(inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        last = layer.axis in (-1, len(inputs.shape) - 1)
        if not (training and layer.trainable and last and layer.scale and layer.center and len(inputs.shape) == 4):
            return as_keras_has_it(inputs, training=training, mask=mask)
        out, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=tf.convert_to_tensor(layer.gamma),
            offset=tf.convert_to_tensor(layer.beta),
            mean=tf.zeros([0]),
            variance=tf.zeros([0]),
            epsilon=layer.epsilon,
            is_training=True,
        )
        values = tf.cast(tf.reduce_prod(tf.shape(inputs)[:3]), tf.float32)
        variance *= (values - 1) / values  # TensorFlow divides by n - 1, Keras by n
        for moving, now in ((layer.moving_mean, mean), (layer.moving_variance, variance)):
            moving.assign(moving * layer.momentum + now * (1 - layer.momentum))
        return out

    layer.call = call
