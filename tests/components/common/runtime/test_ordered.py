"""Many threads, one order: how many work at a time, how far ahead, and what ends them."""

import threading
import time
from dataclasses import dataclass

import pytest

from components.common.runtime.ordered import chunks, ordered_map

LARGE = 2**20  # such an item is handed over alone


@dataclass(frozen=True)
class Item:
    name: str
    size: int


def items(n, size=LARGE):
    return [Item(f"im{i}", size) for i in range(n)]


def in_order(every, work, threads):
    return ordered_map(every, work, threads, batch=16, size=lambda one: one.size)


@pytest.mark.parametrize("size", [100, 300_000, LARGE])
@pytest.mark.parametrize("threads", [1, 3])
def test_results_come_in_order_whatever_finishes_first(threads, size):
    every = items(100, size)
    behind = threading.Event()

    def work(source):
        if source is every[0] and threads > 1:
            assert behind.wait(30)
        if source is every[20]:
            behind.set()
        return source.name

    got = list(in_order(every, work, threads))
    assert [one for one, _ in got] == every
    assert [name for _, name in got] == [one.name for one in every]


@pytest.mark.parametrize("threads", [1, 4, 32])
def test_as_many_work_at_a_time_as_are_asked_for(threads):
    together = threading.Barrier(threads, timeout=60)  # passes only when that many wait at it
    got = [number for _, number in in_order(items(2 * threads), lambda _: together.wait(), threads)]
    assert sorted(got) == sorted(2 * [*range(threads)])


def test_chunks_are_full_but_for_the_last():
    assert list(chunks(range(7), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(chunks([], 3)) == []


def test_no_more_bytes_are_ahead_than_fit_into_memory():
    begun, ahead = [], []
    for taken, _ in enumerate(in_order(items(60, 60 * 2**20), begun.append, 8)):
        ahead.append(len(begun) - taken)
    assert max(ahead) <= 4  # of 60 MiB each, in 256


def test_no_more_images_are_ahead_than_eight_batches_a_thread():
    begun = []
    results = in_order(items(1000, 10), begun.append, 1)
    next(results)
    assert len(begun) <= 8 * 16
    results.close()


def test_an_image_larger_than_all_that_may_be_ahead_is_still_worked_on():
    assert len(list(in_order(items(3, 2**30), lambda _: None, 2))) == 3


def test_memory_given_back_lets_as_many_work_as_before():
    together = threading.Barrier(4, timeout=20)  # of 60 MiB each, in 256
    assert len(list(in_order(items(40, 60 * 2**20), lambda _: together.wait(), 8))) == 40


def test_an_error_ends_the_threads_and_what_is_queued_is_not_begun():
    begun = []

    def work(source):
        begun.append(source)
        if len(begun) == 1:
            raise RuntimeError("the first")
        if len(begun) == 2:
            time.sleep(1)  # meanwhile the error has reached the reader

    with pytest.raises(RuntimeError, match="the first"):
        list(in_order(items(1000, 10), work, 1))
    assert len(begun) <= 1 + 16
    assert not [one for one in threading.enumerate() if one.name.startswith("ordered")]


def test_nothing_is_left_when_the_reader_stops_early():
    results = in_order(items(1000), lambda _: None, 4)
    next(results)
    results.close()
    assert not [one for one in threading.enumerate() if one.name.startswith("ordered")]


def test_no_image_gives_no_result():
    assert list(in_order([], lambda _: None, 1)) == []
