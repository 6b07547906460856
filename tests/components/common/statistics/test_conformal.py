"""Conformal limits: the finite-sample formula, exactly."""

import math

import numpy as np
import pytest

from components.common.statistics.conformal import lesions_needed, lower_limit, outside


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.07, 0.1, 0.2, 0.29, 0.57])
def test_the_limit_is_the_ceil_of_n_plus_1_times_1_minus_alpha_th_value(alpha):
    percent = round(100 * alpha)
    for n in range(1, 400):
        rank = -(-(n + 1) * (100 - percent) // 100)  # ceil in integers
        assert outside(n, alpha) == n + 1 - rank


def test_a_product_that_rounds_down_loses_no_lesion():
    assert math.floor(0.29 * 100) == 28  # floating point
    assert outside(99, 0.29) == 29
    assert lower_limit(np.arange(1.0, 100.0), 0.29) == 29.0


@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.07, 0.3])
def test_too_few_lesions_give_no_limit(alpha):
    needed = lesions_needed(alpha)
    assert needed == math.ceil(round(1 / alpha, 9)) - 1
    assert lower_limit(np.linspace(0, 1, needed), alpha) == 0.0
    assert lower_limit(np.linspace(0, 1, needed - 1), alpha) is None


def test_new_values_of_the_class_lie_below_the_limit_as_often_as_accepted():
    rng = np.random.default_rng(0)
    below = [rng.normal() < lower_limit(rng.normal(size=30), 0.1) for _ in range(20_000)]
    assert np.mean(below) == pytest.approx(3 / 31, abs=0.007)  # k / (n + 1)
