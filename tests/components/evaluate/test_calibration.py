import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss

from components.common.statistics.numeric import logit_of, sigmoid
from components.common.statistics.recalibration import calibration_line
from components.common.statistics.reliability import (
    calibration_error,
    calibration_error_debiased,
    calibration_error_null,
    equal_mass_bins,
)
from components.evaluate.calibration import brier_decomposition, calibration_metrics, reliability_bins


def truth(n, seed, stretch=1.0, shift=0.0):
    """Labels from sigmoid(u), probabilities sigmoid(stretch * u + shift)."""
    rng = np.random.default_rng(seed)
    u = rng.normal(-1.5, 1.5, n)
    return (rng.random(n) < sigmoid(u)).astype(np.int8), sigmoid(stretch * u + shift)


def test_perfect_probabilities_have_intercept_0_and_slope_1_within_their_intervals():
    y, p = truth(3000, 0)
    found = calibration_metrics(p, y, np.arange(3000), 3000, 400, 0)
    assert found.slope.lower < 1 < found.slope.upper
    assert found.intercept.lower < 0 < found.intercept.upper
    assert found.ece < found.ece_null_95


def test_overconfident_and_shifted_probabilities_are_caught():
    y, p = truth(3000, 1, stretch=2.0)
    intercept, slope = calibration_line(p, y.astype(float), np.arange(3000), 3000, 400, 0)
    assert slope.upper < 0.7
    y, p = truth(3000, 2, shift=1.0)
    intercept, slope = calibration_line(p, y.astype(float), np.arange(3000), 3000, 400, 0)
    assert intercept.value == pytest.approx(-1.0, abs=0.15)
    assert intercept.upper < -0.7


def test_slope_agrees_with_scikit_learn_and_its_resamples_with_refits():
    y, p = truth(800, 3, stretch=1.4)
    s = logit_of(p)
    _, slope = calibration_line(p, y.astype(float), np.arange(800), 800, 300, 7)
    model = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(s[:, None], y)
    assert slope.value == pytest.approx(model.coef_[0, 0], abs=1e-5)
    rng = np.random.default_rng(7)
    refits = []
    for _ in range(300):
        i = rng.integers(0, 800, 800)
        refits.append(LogisticRegression(C=np.inf, max_iter=200).fit(s[i, None], y[i]).coef_[0, 0])
    np.testing.assert_allclose([slope.lower, slope.upper], np.quantile(refits, [0.025, 0.975]), atol=2e-3)


def test_brier_adds_up_and_agrees_with_scikit_learn():
    y, p = truth(500, 4)
    found = brier_decomposition(y.astype(float), np.round(p, 2))
    assert found.score == pytest.approx(brier_score_loss(y, np.round(p, 2)), abs=1e-12)
    parts = found.miscalibration - found.discrimination + found.uncertainty
    assert parts == pytest.approx(found.score, abs=1e-12)
    assert min(found.score, found.miscalibration, found.discrimination, found.uncertainty) >= 0


@pytest.mark.parametrize("decimals", [1, 2, 8])
def test_bins_agree_with_scikit_learn_also_with_ties(decimals):
    y, p = truth(700, 5)
    p = np.round(p, decimals)
    observed, predicted = calibration_curve(y, p, n_bins=15, strategy="quantile")
    points = equal_mass_bins(y, p)
    np.testing.assert_allclose(points.observed, observed, atol=1e-12)
    np.testing.assert_allclose(points.predicted, predicted, atol=1e-12)


def test_the_debiased_error_takes_off_what_chance_adds():
    """For perfect probabilities its square is 0 on average, while the plain error stays up; a true error is seen."""
    rng = np.random.default_rng(8)
    p = np.repeat(np.linspace(0.05, 0.95, 15), 40)
    draws = [(rng.random(600) < p).astype(float) for _ in range(400)]
    signed = []
    for y in draws:
        bins = equal_mass_bins(y, p)
        noise = bins.observed * (1 - bins.observed) / (bins.count - 1)
        signed.append(np.sum(bins.count * ((bins.observed - bins.predicted) ** 2 - noise)) / 600)
        assert calibration_error_debiased(y, p) == pytest.approx(np.sqrt(max(signed[-1], 0)), abs=1e-12)
    assert np.mean(signed) == pytest.approx(0, abs=3 * np.std(signed) / 20)
    assert np.mean([calibration_error(y, p) for y in draws]) > 0.05
    shifted = np.clip(p + 0.1, 0, 1)
    assert np.mean([calibration_error_debiased(y, shifted) for y in draws]) == pytest.approx(0.098, abs=0.01)


def test_a_bin_without_malignant_images_is_no_certainty():
    y, p = np.zeros(300), np.linspace(0.001, 0.3, 300)
    y[280:] = 1
    first = reliability_bins(p, y, np.arange(300), 300, 200, 0)[0]
    assert first.observed.value == first.observed.lower == 0
    assert first.observed.upper == pytest.approx(1 - 0.025 ** (1 / first.count))


def test_the_null_covers_perfect_probabilities_95_times_in_100():
    rng = np.random.default_rng(6)
    _, p = truth(600, 6)
    limit = np.quantile(calibration_error_null(p, simulations=500), 0.95)
    above = [calibration_error((rng.random(600) < p).astype(float), p) > limit for _ in range(300)]
    assert np.mean(above) == pytest.approx(0.05, abs=0.04)


def test_the_null_of_a_strong_model_at_1490_images_is_what_methods_says():
    p = sigmoid(np.random.default_rng(0).normal(-3.8, 3.6, 1490))  # AUC 0.95, 17 % malignant
    assert np.quantile(calibration_error_null(p), 0.95) == pytest.approx(0.020, abs=0.003)
