import threading

import numpy as np
import pytest

from components.train.augmentation import Augmentation
from components.train.feed import TrainFeed, plain_batches
from components.train.records import load_split

SIZE, WEIGHTS = (32, 40), np.array([0.5, 2.0], np.float32)


@pytest.fixture(scope="module")
def data(records):
    return load_split(records, "train", SIZE, "memory")


def feed(data, **values):
    return TrainFeed(
        data, **{"batch_size": 10, "seed": 3, "how": Augmentation(), "weight": WEIGHTS, "threads": 2, **values}
    )


def same(left, right):
    return len(left) == len(right) and all(
        np.array_equal(a.images, b.images) and np.array_equal(a.label, b.label) and np.array_equal(a.dx, b.dx)
        for a, b in zip(left, right, strict=True)
    )


def test_an_epoch_shows_each_image_once_and_leaves_the_rest_out(data):
    one = feed(data)
    assert one.steps == 9
    batches = list(one.epoch(0))
    assert [len(batch.label) for batch in batches] == [10] * 9
    assert batches[0].images.dtype == np.uint8
    assert sorted(one.order(0)) == list(range(96))
    assert list(one.order(0)) != list(one.order(1))


def test_content_does_not_depend_on_threads_or_on_the_cache(data, records):
    streamed = load_split(records, "train", SIZE, "stream")
    reference = list(feed(data, threads=1).epoch(2))
    assert same(reference, list(feed(data, threads=4).epoch(2)))
    assert same(reference, list(feed(streamed).epoch(2)))


def test_an_epoch_taken_up_in_the_middle_goes_on_with_the_same_batches(data):
    assert same(list(feed(data).epoch(1))[4:], list(feed(data).epoch(1, first_step=4)))


def test_weights_follow_the_labels(data):
    batch = next(iter(feed(data).epoch(0)))
    np.testing.assert_array_equal(batch.weight, np.where(batch.label == 1, 2.0, 0.5).astype(np.float32))


def test_a_feed_left_early_ends_its_threads(data):
    batches = feed(data).epoch(0)
    next(batches)
    batches.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ordered")]


def test_an_error_in_a_thread_reaches_the_caller(data, monkeypatch):
    broken = feed(data)
    monkeypatch.setattr("components.train.feed.Augmenter.into", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        next(broken.epoch(0))


def test_fewer_images_than_a_batch_are_one_batch(data):
    one = feed(data, batch_size=500)
    assert (one.steps, one.batch_size) == (1, 96)


def test_plain_batches_are_all_images_as_they_are(data):
    stacked = np.concatenate(list(plain_batches(data, 40)))
    assert stacked.shape == (96, 32, 40, 3)
    np.testing.assert_array_equal(stacked[95], data.images.get(95))
