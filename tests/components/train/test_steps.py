import keras
import numpy as np
import pytest

from components.train.augmentation import Augmentation
from components.train.class_balance import loss_weights
from components.train.feed import TrainFeed
from components.train.network import build_network
from components.train.records import load_split
from components.train.steps import (
    example_loss,
    make_forward,
    make_optimizer,
    make_train_step,
    mean_loss,
    set_learning_rate,
)
from components.train.weight_average import WeightAverage

CLASSES = {"bkl": 0, "mel": 1, "nv": 0}


@pytest.fixture(scope="module")
def data(records):
    return load_split(records, "train", (32, 40), "memory")


def curve(config, data, steps=6):
    """Losses of the first steps, with the same start whatever ran before."""
    keras.utils.set_random_seed(config.seed)
    network = build_network(config, CLASSES)
    weights = loss_weights(config.class_balance, data.rows.label)
    optimizer = make_optimizer(config, network, "float32")
    step = make_train_step(config, network, optimizer, compile_xla=False)
    feed = TrainFeed(data, config.batch_size, config.seed, Augmentation(), weights)
    return [float(step(batch)) for batch in feed.epoch(0)][:steps]


@pytest.mark.parametrize("target", ["binary", "diagnosis"])
def test_class_weight_and_sample_weight_give_the_same_loss_curve(target, tiny, data):
    by_class, by_image, plain = (
        curve(tiny(target=target, class_balance=mode), data) for mode in ("class_weight", "sample_weight", "none")
    )
    np.testing.assert_allclose(by_class, by_image, rtol=1e-5)
    assert np.abs(np.subtract(by_class, plain)).max() > 1e-3


@pytest.mark.filterwarnings("ignore:The model does not have any trainable weights")
def test_the_weighted_loss_is_the_one_keras_computes_with_class_weight(tiny, data):
    config = tiny(dropout=0.0)
    keras.utils.set_random_seed(1)
    network = build_network(config, CLASSES)
    network.head.set_weights([np.random.default_rng(0).normal(size=w.shape) for w in network.head.get_weights()])
    weights = loss_weights("class_weight", data.rows.label)
    images = np.stack([data.images.get(i) for i in range(16)]).astype(np.float32)
    label = data.rows.label[:16].astype(np.int32)
    logits = network.classifier(images, training=False)
    ours = float(np.mean(weights[label] * np.asarray(example_loss("binary", 0.0, 1)(logits, label))))
    model = network.classifier
    for layer in model._flatten_layers():
        layer.trainable = False  # batch statistics would change between the two ways
    model.compile("sgd", keras.losses.BinaryCrossentropy(from_logits=True), jit_compile=False)
    by_label = {0: float(weights[0]), 1: float(weights[1])}
    theirs = model.train_on_batch(images, label[:, None].astype(np.float32), class_weight=by_label, return_dict=True)
    assert float(theirs["loss"]) == pytest.approx(ours, rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_losses_equal_those_of_keras(smoothing):
    rng = np.random.default_rng(0)
    logits, truth = rng.normal(0, 3, (20, 4)).astype(np.float32), rng.integers(0, 4, 20).astype(np.int32)
    expected = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing, reduction=None)(
        np.eye(4, dtype=np.float32)[truth], logits
    )
    np.testing.assert_allclose(example_loss("diagnosis", smoothing, 4)(logits, truth), expected, atol=1e-5)
    label = (truth > 1).astype(np.int32)
    expected = keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=smoothing, reduction=None)(
        label[:, None].astype(np.float32), logits[:, :1]
    )
    np.testing.assert_allclose(example_loss("binary", smoothing, 1)(logits[:, :1], label), expected, atol=1e-5)


def test_frozen_layers_keep_their_weights_and_their_statistics(tiny, data):
    config = tiny()
    network = build_network(config, CLASSES)
    base = network.classifier.get_layer("small_cnn")
    for layer in base.layers[: [one.name for one in base.layers].index("conv2")]:
        layer.trainable = False
    before = [v.numpy() for v in base.get_layer("bn0").weights + base.get_layer("conv1").weights]
    moving = base.get_layer("bn3").moving_mean.numpy()
    step = make_train_step(config, network, make_optimizer(config, network, "float32"), compile_xla=False)
    step(next(iter(TrainFeed(data, 16, 0, Augmentation(), np.ones(2, np.float32)).epoch(0))))
    after = [v.numpy() for v in base.get_layer("bn0").weights + base.get_layer("conv1").weights]
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)
    assert (base.get_layer("bn3").moving_mean.numpy() != moving).any()


def test_float16_gets_a_loss_scale_and_the_rate_reaches_the_inner_optimizer(tiny):
    optimizer = make_optimizer(tiny(), build_network(tiny(), CLASSES), "mixed_float16")
    assert isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    set_learning_rate(optimizer, 0.125)
    assert float(optimizer.inner_optimizer.learning_rate) == 0.125


def test_forward_covers_all_batches_whatever_their_size(tiny):
    network = build_network(tiny(), CLASSES)
    network.head.set_weights([np.ones_like(w) for w in network.head.get_weights()])
    images = np.random.default_rng(0).integers(0, 256, (11, 32, 40, 3)).astype(np.uint8)
    forward = make_forward(network.scorer)
    whole, parts = forward([images]), forward([images[:4], images[4:8], images[8:]])
    assert whole.dtype == np.float64
    np.testing.assert_allclose(whole, parts, rtol=1e-5)


def test_the_average_follows_slowly_and_gives_the_weights_back():
    variable = keras.Variable(np.zeros(3, np.float32))
    average = WeightAverage([variable], 0.9)
    for step in range(1, 201):
        variable.assign(np.full(3, step, np.float32))
        average.update(step)
    with average.applied():
        inside = variable.numpy()
    assert (variable.numpy() == 200).all()
    assert (inside > 140).all()
    assert (inside < 190).all()
    other = WeightAverage([variable], 0.9)
    other.set_values(average.values())
    with other.applied():
        np.testing.assert_array_equal(variable.numpy(), inside)


def test_no_average_changes_nothing():
    variable = keras.Variable(np.ones(3, np.float32))
    average = WeightAverage([variable], 0.0)
    average.update(4)
    with average.applied():
        assert (variable.numpy() == 1).all()
    assert average.values() == []


@pytest.mark.parametrize("target", ["binary", "diagnosis"])
def test_validation_loss_is_the_training_loss_unweighted(target):
    rng = np.random.default_rng(2)
    truth = rng.integers(0, 2 if target == "binary" else 3, 50).astype(np.int32)
    logits = rng.normal(0, 2, (50, 1 if target == "binary" else 3))
    loss = mean_loss(example_loss(target, 0.1, logits.shape[1]), logits, truth)
    if target == "binary":
        p, aim = 1 / (1 + np.exp(-logits[:, 0])), truth * 0.9 + 0.05
        expected = -(aim * np.log(p) + (1 - aim) * np.log(1 - p)).mean()
    else:
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        expected = -((np.eye(3)[truth] * 0.9 + 0.1 / 3) * np.log(p)).sum(axis=1).mean()
    assert loss == pytest.approx(expected, rel=1e-5)
