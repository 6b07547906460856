import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import _SigmoidCalibration
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from components.calibrate.fitting import fit_calibrator
from components.common.artifacts.policy import CALIBRATORS
from components.common.runtime.errors import DataError
from components.common.statistics.numeric import logit_of, sigmoid
from components.common.statistics.reliability import calibration_error, calibration_error_null, log_loss


def data(seed, n=400):
    rng = np.random.default_rng(seed)
    u = rng.normal(-1, 2, n)
    return 1.7 * u + 0.8, (rng.random(n) < sigmoid(u)).astype(np.float64)


def test_platt_agrees_with_scikit_learn():
    s, y = data(0)
    ours = fit_calibrator("platt", s, y, 0.0)
    theirs = _SigmoidCalibration().fit(s, y)
    np.testing.assert_allclose(ours.probability(s), theirs.predict(s), atol=2e-4)


def test_temperature_agrees_with_a_grid_search():
    s, y = data(1)
    t = fit_calibrator("temperature", s, y, 0.3).parameters["t"]
    grid = np.linspace(0.3, 5, 2000)
    best = grid[np.argmin([log_loss(y, sigmoid((s - 0.3) / g)) for g in grid])]
    assert t == pytest.approx(best, abs=0.003)


def test_beta_agrees_with_logistic_regression_on_its_features():
    s, y = data(2)
    beta = fit_calibrator("beta", s, y, 0.0)
    features = np.column_stack([np.log(sigmoid(s)), -np.log(sigmoid(-s))])
    model = LogisticRegression(C=np.inf, tol=1e-10, max_iter=5000).fit(features, y)
    assert min(model.coef_[0]) > 0
    np.testing.assert_allclose(beta.probability(s), model.predict_proba(features)[:, 1], atol=1e-5)


def test_beta_drops_a_negative_shape_and_stays_monotone():
    rng = np.random.default_rng(3)
    s = rng.normal(0, 2, 500)
    y = (rng.random(500) < 0.15 + 0.5 * sigmoid(3 * s - 6)).astype(np.float64)
    fitted = fit_calibrator("beta", s, y, 0.0)
    assert min(fitted.parameters["a"], fitted.parameters["b"]) >= 0
    assert (np.diff(fitted.probability(np.linspace(-6, 6, 200))) >= 0).all()


def test_isotonic_agrees_with_scikit_learn_up_to_its_clipping():
    s, y = data(4)
    ours = fit_calibrator("isotonic", s, y, 0.0).probability(s)
    theirs = IsotonicRegression(out_of_bounds="clip").fit(s, y).predict(s)
    np.testing.assert_allclose(ours, np.clip(theirs, 1 / 402, 401 / 402), atol=1e-9)
    assert 0 < ours.min() < ours.max() < 1


@given(name=st.sampled_from(CALIBRATORS), seed=st.integers(0, 500), offset=st.floats(-2, 3))
@settings(max_examples=60, deadline=None)
def test_every_calibrator_is_monotone_bounded_and_keeps_the_offset(name, seed, offset):
    s, y = data(seed, 120)
    fitted = fit_calibrator(name, s, y, offset)
    p = fitted.probability(np.linspace(-400, 400, 301))
    assert ((p >= 0) & (p <= 1)).all()
    assert (np.diff(p) >= -1e-12).all()
    assert fitted.offset == (0.0 if name == "none" else offset)


@pytest.mark.parametrize("name", ["temperature", "platt", "beta"])
def test_scores_that_rank_the_wrong_way_are_refused(name):
    s, y = data(5)
    with pytest.raises(DataError, match=f"calibration {name}: the fitted slope"):
        fit_calibrator(name, -s, y, 0.0)


@pytest.mark.parametrize("name", ["temperature", "platt", "beta", "isotonic"])
def test_separable_classes_give_finite_parameters(name):
    s, y = np.r_[np.linspace(-3, -1, 40), np.linspace(1, 3, 12)], np.r_[np.zeros(40), np.ones(12)]
    p = fit_calibrator(name, s, y, 0.0).probability(s)
    assert np.isfinite(p).all()
    assert p[-1] > 0.9


@pytest.mark.parametrize("weight", [1, 2, 4.12, 8])
@pytest.mark.parametrize("name", ["offset", "platt", "beta"])
def test_class_weights_are_undone_within_the_null_band(exact, weight, name):
    train, test = exact(3000, 1, weight=weight), exact(3000, 2, weight=weight)
    fitted = fit_calibrator(name, train.logit, train.label.astype(float), np.log(weight))
    p = fitted.probability(test.logit)
    limit = np.quantile(calibration_error_null(p, simulations=400), 0.99)
    assert calibration_error(test.label.astype(float), p) <= limit


@pytest.mark.parametrize("weight", [2, 4.12, 8])
def test_temperature_alone_cannot_undo_class_weights(exact, weight):
    train, test = exact(3000, 1, weight=weight), exact(3000, 2, weight=weight)
    fitted = fit_calibrator("temperature", train.logit, train.label.astype(float), 0.0)  # offset not undone
    p = fitted.probability(test.logit)
    assert calibration_error(test.label.astype(float), p) > 2 * np.quantile(calibration_error_null(p), 0.95)


def test_isotonic_is_scikit_learns_on_every_score_set(score_sets):
    for k, (label, p) in enumerate(score_sets):
        s, y = logit_of(p), label.astype(float)
        theirs = IsotonicRegression(out_of_bounds="clip").fit(s, y).predict(s)
        if np.ptp(theirs) == 0:
            with pytest.raises(DataError, match="one level only"):
                fit_calibrator("isotonic", s, y, 0.0)
            continue
        ours = fit_calibrator("isotonic", s, y, 0.0).probability(s)
        low, high = 1 / (len(y) + 2), (len(y) + 1) / (len(y) + 2)
        np.testing.assert_allclose(ours, np.clip(theirs, low, high), atol=1e-9, err_msg=str(k))
