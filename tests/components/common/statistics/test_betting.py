from functools import partial

import numpy as np
import pytest
from scipy.stats import binom, kstest

from components.common.statistics.betting import (
    change_capital,
    conformal_p_values,
    lower_capital,
    share_interval,
    too_often_capital,
)


def ever(capital, limit=20.0):
    """Whether a look after any image would have raised the alarm."""
    return bool((capital >= limit).any())


@pytest.mark.parametrize("capital", [partial(lower_capital, reference=200), change_capital])
def test_a_look_after_every_image_raises_a_false_alarm_in_at_most_one_stream_of_twenty(capital):
    """A Kolmogorov-Smirnov test at 0.05, looked at every week, would do so in about one of three."""
    rng = np.random.default_rng(0)
    alarms, naive = [], []
    for seed in range(300):
        reference, stream = rng.normal(size=100), rng.normal(size=400)
        alarms.append(ever(capital(conformal_p_values(reference, stream, seed))))
        naive.append(any(kstest(stream[:n], reference).pvalue < 0.05 for n in range(50, 401, 50)))
    assert np.mean(alarms) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 300)
    assert np.mean(naive) > 0.08


def test_p_values_are_uniform_also_with_ties_and_a_longer_stream_keeps_its_beginning():
    rng = np.random.default_rng(1)
    stream = rng.integers(0, 4, 3000).astype(float)
    p = conformal_p_values(rng.integers(0, 4, 50).astype(float), stream, 5)
    assert kstest(p, "uniform").pvalue > 0.01
    assert (conformal_p_values(np.zeros(0), stream[:100], 5) == conformal_p_values(np.zeros(0), stream, 5)[:100]).all()


@pytest.mark.parametrize(
    ("shift", "scale", "capital"),
    [
        (-1, 1, partial(lower_capital, reference=200)),
        (-1, 1, change_capital),
        (1, 1, change_capital),
        (0, 3, change_capital),
    ],
)
def test_changes_are_found_when_they_come_late(shift, scale, capital):
    rng, found = np.random.default_rng(2), []
    for seed in range(15):
        stream = np.concatenate([rng.normal(size=500), rng.normal(shift, scale, 200)])
        found.append(ever(capital(conformal_p_values(rng.normal(size=200), stream, seed))[500:]))
    assert np.mean(found) > 0.9


def test_a_bettor_on_lower_values_loses_while_they_become_higher():
    rng = np.random.default_rng(5)
    upward = np.concatenate([rng.normal(size=300), rng.normal(1, 1, 200)])
    assert lower_capital(conformal_p_values(rng.normal(size=200), upward, 0), 200)[-1] < 0.5


@pytest.mark.parametrize("reference", [0, 300])
def test_the_next_image_is_a_fair_bet_whatever_came_before(reference):
    """Over a uniform p-value the capital keeps its mean, also where a part of it enters the game."""
    rng = np.random.default_rng(8)
    grid = (np.arange(2000) + 0.5) / 2000
    for images in (10, 57):
        past = rng.random(images)
        for capital in (partial(lower_capital, reference=reference), change_capital):
            after = [capital(np.append(past, p))[-1] for p in grid]
            assert np.mean(after) == pytest.approx(capital(past)[-1], rel=5e-3)


def test_single_malignant_images_that_are_missed_are_found_though_the_others_score_as_before():
    """One in twenty lies below a threshold, and one in seven after 100 images."""
    rng, found, early = np.random.default_rng(7), [], []

    def scores(images):
        return np.where(rng.random(images) < 0.05, rng.normal(-4, 1, images), rng.normal(size=images))

    for seed in range(40):
        missed = (np.arange(400) >= 100) & (rng.random(400) < 0.1)
        stream = np.where(missed, rng.normal(-4, 1, 400), scores(400))
        capital = lower_capital(conformal_p_values(scores(300), stream, seed), 300)
        early.append(ever(capital[:100]))
        found.append(ever(capital))
    assert np.mean(found) > 0.6 and np.mean(early) <= 0.15


def test_a_share_is_found_to_be_too_high_and_one_at_its_limit_is_not():
    rng = np.random.default_rng(3)
    false = [ever(too_often_capital(rng.random(500) < 0.02, 0.02)) for _ in range(300)]
    assert np.mean(false) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 300)
    late = np.concatenate([rng.random(500) < 0.02, rng.random(200) < 0.15])
    assert ever(too_often_capital(late, 0.02)) and not ever(too_often_capital(late[:500], 0.02))


def test_the_interval_of_a_share_holds_at_all_looks_together():
    rng, truth, missed = np.random.default_rng(4), 0.9, 0
    for _ in range(100):
        hits = rng.random(300) < truth
        looks = [share_interval(hits[:n], 0.05) for n in range(20, 301, 20)]
        missed += any(not low <= truth <= high for low, high in looks)
    assert missed <= binom.ppf(0.99, 100, 0.05)
    assert share_interval(np.ones(5, bool), 0.05)[1] == 1.0
