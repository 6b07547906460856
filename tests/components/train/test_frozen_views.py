"""Frozen layers computed once: the rest of the network trains on what they make of some views of each image."""

import os
import signal

import keras
import numpy as np
import pytest

from components.common.runtime.errors import ConfigError
from components.train import loop
from components.train.augmentation import Augmentation
from components.train.backbones import build_backbone, cut_before, freeze_before
from components.train.feed import AugmentedPictures, TrainFeed, plain_batches
from components.train.frozen_views import FrozenViews, compute_views, refuse_more_than_fits
from components.train.network import build_network, cut_network
from components.train.records import load_split
from components.train.run import run
from components.train.sigterm import StoppedError

CLASSES = {"bkl": 0, "mel": 1, "nv": 0}
SIZE = (32, 40)
TOLERANCE = 0.01  # of logits that spread over more than 1: float16 keeps 11 bits of each map


@pytest.fixture(scope="module")
def config(tiny, tmp_path_factory):
    """A network whose first two convolutions are frozen."""
    path = tmp_path_factory.mktemp("weights") / "small_cnn.weights.h5"
    keras.utils.set_random_seed(1)
    build_backbone("small_cnn", SIZE, "none").save_weights(path)

    def make(**values):
        plain = {"weights": str(path), "freeze_until": "conv2", "frozen_views": 3, "target": "diagnosis"}
        return tiny(**{**plain, "deterministic": True, "average": 0.9, **values})

    return make


@pytest.fixture(scope="module")
def splits(records):
    return [load_split(records, split, SIZE, "memory") for split in ("train", "val")]


def images_of(data):
    return np.concatenate(list(plain_batches(data, 64)))


@pytest.fixture(scope="module")
def parts(config, splits):
    network = build_network(config(), CLASSES)
    network.head.set_weights([np.random.default_rng(1).normal(0, 10, w.shape) for w in network.head.get_weights()])
    prefix, tail = cut_network(network, config(), CLASSES)
    return network, prefix, tail, compute_views(prefix, *splits, config(), Augmentation())


def test_the_tail_on_cached_maps_gives_the_logits_of_the_whole_network(parts, splits):
    network, _, tail, (views, val) = parts
    maps = images_of(val)
    assert maps.dtype == np.float16
    assert maps.shape[1:] == (8, 10, 32)
    for data, kept in ((splits[1], maps), (splits[0], views.maps[0])):
        expected = np.asarray(network.outputs(images_of(data).astype(np.float32), training=False))
        given = np.asarray(tail.outputs(kept.astype(np.float32), training=False))
        assert np.ptp(expected[:, -1]) > 1
        np.testing.assert_allclose(given, expected, atol=TOLERANCE)


def test_a_view_is_what_training_without_cached_views_shows_in_that_epoch(parts, splits, config):
    _, prefix, _, (views, _) = parts
    pictures = AugmentedPictures(splits[0], config().seed, Augmentation())
    everything = np.arange(len(splits[0].rows))
    for view in (1, 2):
        shown = pictures.batch(everything, pictures.draw(view)).astype(np.float32)
        np.testing.assert_allclose(views.maps[view], np.asarray(prefix(shown, training=False)), atol=0.01, rtol=1e-3)


def test_an_image_is_shown_all_its_views_in_turn_and_the_seed_alone_decides(parts, splits):
    views = parts[3][0]
    draws = np.stack([views.draw(epoch) for epoch in range(3)])
    assert all(sorted(column) == [0, 1, 2] for column in draws.T)
    assert set(draws[0]) == {0, 1, 2}
    np.testing.assert_array_equal(views.draw(4), FrozenViews(views.maps, views.seed).draw(4))
    assert (views.draw(0) != FrozenViews(views.maps, views.seed + 1).draw(0)).any()
    feed = TrainFeed(splits[0], 10, 5, views, np.ones(2, np.float32))
    batch = next(iter(feed.epoch(1)))
    first = feed.order(1)[0]
    np.testing.assert_array_equal(batch.images[0], views.maps[views.draw(1)[first], first])


@pytest.fixture(scope="module")
def trained(config, records, tmp_path_factory):
    out = tmp_path_factory.mktemp("frozen") / "model"
    return out, run(config(), records, out)


def test_the_saved_model_is_the_whole_network_and_its_frozen_layers_are_as_they_were(trained, config, splits):
    out, result = trained
    model = keras.models.load_model(out / "model.keras", compile=False, safe_mode=True)
    scores = np.load(out / "val_probs.npz")["logit"]
    given = np.asarray(model(images_of(splits[1]).astype(np.float32), training=False))[:, 0]
    np.testing.assert_allclose(given, scores, atol=1e-5)
    assert result.roc_auc > 0.8
    start, end = build_backbone("small_cnn", SIZE, config().weights), model.get_layer("small_cnn")
    changed = {
        layer.name: any((a != b).any() for a, b in zip(layer.get_weights(), other.get_weights(), strict=True))
        for layer, other in zip(start.layers, end.layers, strict=True)
        if layer.weights
    }
    # the statistics of frozen batch normalisation stay, too
    assert changed == {f"{kind}{i}": i >= 2 for i in range(4) for kind in ("conv", "bn")}


def test_a_run_stopped_within_an_epoch_goes_on_to_bitwise_the_same_result(
    trained, config, records, tmp_path, monkeypatch, same_result
):
    count, original = [0], loop.learning_rate

    def counted(*arguments):
        count[0] += 1
        if count[0] == 10:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(*arguments)

    monkeypatch.setattr(loop, "learning_rate", counted)
    stopped = config(checkpoint_dir=str(tmp_path / "state"))
    with pytest.raises(StoppedError, match="epoch 2 after step 2"):
        run(stopped, records, tmp_path / "model")
    run(stopped, records, tmp_path / "model")
    same_result(trained[0], tmp_path / "model")


def test_a_left_out_fold_is_judged_by_and_the_validation_split_scored(config, records, splits, tmp_path):
    result = run(config(folds=2, fold=1, average=0.0), records, tmp_path / "model")
    assert len(np.load(tmp_path / "model" / "val_probs.npz")["logit"]) == len(splits[1].rows)
    assert 0 < result.average_precision <= 1


def test_more_views_than_memory_holds_are_refused_with_how_many_fit():
    one = 2 * 4 * 5 * 6
    refuse_more_than_fits(3, 100, 50, (4, 5, 6), int(one * 350 / 0.6) + 1)
    with pytest.raises(ConfigError) as caught:
        refuse_more_than_fits(3, 100, 50, (4, 5, 6), int(one * 349 / 0.6))
    message = str(caught.value)
    assert "received 3, which needs 84000 bytes of 139600 free" in message
    assert "allowed: at most 2 here, or 0" in message


def test_maps_beyond_the_range_of_float16_are_refused(splits, config):
    images = keras.Input((*SIZE, 3))
    large = keras.Model(images, keras.layers.Rescaling(1000.0)(images))
    with pytest.raises(ConfigError, match="what layer 'conv2' sees exceeds the range of float16; allowed: 0 with"):
        compute_views(large, *splits, config(), Augmentation())


def test_the_cut_lies_where_one_tensor_passes():
    model = build_backbone("efficientnet_lite0", (32, 32), "none")
    with pytest.raises(ConfigError, match=r"received 'block2.bn1' with frozen_views, where 2 tensors pass .* such as"):
        cut_before(model, "block2.bn1")
    freeze_before(model, "block2.expand_conv")
    before, after = cut_before(model, "block2.expand_conv")
    image = np.random.default_rng(0).normal(size=(1, 32, 32, 3)).astype(np.float32)
    np.testing.assert_allclose(np.asarray(after(before(image))), np.asarray(model(image)), atol=1e-6)
    before, after = cut_before(model, "head")
    assert np.asarray(after(before(image))).shape == (1, 1, 1, 1280)


def test_views_without_frozen_layers_are_refused(tiny):
    with pytest.raises(ConfigError, match=r"frozen_views: received 4 without freeze_until; allowed: 0, or"):
        tiny(frozen_views=4)
