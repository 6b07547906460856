"""However many threads work on however large images: the memory they share has a bound, and nobody waits forever."""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.common.runtime.byte_semaphore import SMALL, ByteSemaphore

MB = 2**20


class Use:
    """Takes bytes of a budget and remembers the most that was taken at a time."""

    def __init__(self, total):
        self.budget, self.lock, self.now, self.most = ByteSemaphore(total), threading.Lock(), 0, 0

    def __call__(self, size):
        with self.budget.take(size):
            with self.lock:
                self.now += size
                self.most = max(self.most, self.now)
            time.sleep(random.random() / 2000)
            with self.lock:
                self.now -= size


@given(st.lists(st.integers(SMALL + 1, 9 * MB), min_size=1, max_size=60), st.integers(1, 24))
@settings(max_examples=40, deadline=None)
def test_any_requests_of_any_number_of_threads_stay_within_the_total_and_end(sizes, threads):
    use = Use(10 * MB)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(use, sizes))
    assert use.now == 0
    assert use.most <= 10 * MB
    with use.budget.take(10 * MB):  # all of it came back
        pass


def test_a_request_larger_than_the_total_is_met_alone():
    use = Use(10 * MB)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(use, [3 * MB, 50 * MB, 2 * MB, 11 * MB] * 20))
    assert use.most == 50 * MB


def test_a_large_request_goes_before_small_ones_that_came_later():
    budget, order = ByteSemaphore(10 * MB), []

    def take(size, name):
        with budget.take(size):
            order.append(name)

    def waiting(count):
        while len(budget._waiting) < count:
            time.sleep(0.001)

    with ThreadPoolExecutor(3) as pool, budget.take(6 * MB):
        pool.submit(take, 8 * MB, "large")
        waiting(1)
        pool.submit(take, 2 * MB, "fits already")
        waiting(2)
        assert order == []
        take(SMALL, "tiny")
    assert order[:2] == ["tiny", "large"]


def test_an_error_gives_the_bytes_back():
    budget = ByteSemaphore(10 * MB)
    for _ in range(3):
        with pytest.raises(ValueError, match="torn"), budget.take(10 * MB):
            raise ValueError("torn")
