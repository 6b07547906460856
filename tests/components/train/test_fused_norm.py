"""The fused batch normalisation computes what Keras spells out."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.train.fused_norm import fuse_batch_norm


def network(momentum=0.9, *, frozen=False):
    keras.utils.set_random_seed(2)
    images = keras.Input((6, 7, 3))
    norm = keras.layers.BatchNormalization(momentum=momentum, name="norm")
    model = keras.Model(images, keras.layers.Conv2D(4, 3)(norm(keras.layers.Conv2D(5, 3, use_bias=False)(images))))
    norm.trainable = not frozen
    norm.set_weights([np.linspace(low, high, 5) for low, high in ((0.5, 1.5), (-1, 1), (0, 0.1), (1, 2))])
    return model


def step(model, images):
    """Output, gradients and moving statistics after one training step's forward and backward pass."""
    with tf.GradientTape() as tape:
        out = model(images, training=True)
        loss = tf.reduce_sum(out**2)
    gradients = tape.gradient(loss, model.trainable_variables)
    return [np.asarray(x) for x in (out, *gradients, *model.get_layer("norm").get_weights())]


@pytest.mark.parametrize("frozen", [False, True])
def test_output_gradients_and_statistics_are_those_of_keras(frozen):
    images = np.random.default_rng(0).normal(3, 2, (4, 6, 7, 3)).astype(np.float32)
    plain, fused = network(frozen=frozen), network(frozen=frozen)
    fuse_batch_norm(fused)
    for expected, given in zip(step(plain, images), step(fused, images), strict=True):
        np.testing.assert_allclose(given, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    np.testing.assert_array_equal(np.asarray(fused(images)), np.asarray(fused(images, training=False)))


def test_what_is_saved_is_as_before(tmp_path):
    model = network()
    fuse_batch_norm(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    assert type(loaded.get_layer("norm")) is keras.layers.BatchNormalization
    images = np.random.default_rng(0).normal(size=(2, 6, 7, 3)).astype(np.float32)
    np.testing.assert_allclose(np.asarray(loaded(images)), np.asarray(model(images)), atol=1e-6)
