"""Calibration of scores that real images got: HAM10000's validation images under a weak model."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from components.calibrate.config import CalibrateConfig
from components.calibrate.operating_point import choose
from components.calibrate.selection import cross_fit, cross_fitted, pick
from components.common.statistics.reliability import calibration_error, calibration_error_null

pytestmark = pytest.mark.real

WEIGHTS = [1, 2, 4.12, 8]


def limit(p):
    return np.quantile(calibration_error_null(p), 0.95)


@pytest.fixture(scope="module")
def by_weight(real_validation):
    return {weight: real_validation(weight) for weight in WEIGHTS}


@pytest.mark.parametrize("weight", WEIGHTS)
def test_auto_brings_real_scores_within_the_null_band_whatever_the_class_weight(by_weight, weight):
    scores, offset = by_weight[weight], float(np.log(weight))
    y = scores.label.astype(float)
    assert 0.75 < roc_auc_score(y, scores.logit) < 0.85
    for seed in range(3):
        chosen = pick(cross_fit(scores, offset, 5, seed)).name
        p = cross_fitted(chosen, scores, offset, 5, seed)  # each lesion by a fit that has not seen it
        assert calibration_error(y, p) <= limit(p), (chosen, seed)


@pytest.mark.parametrize("weight", WEIGHTS[1:])
def test_temperature_alone_fails_on_real_scores(by_weight, weight):
    scores = by_weight[weight]
    y = scores.label.astype(float)
    p = cross_fitted("temperature", scores, 0.0, 5, 0)  # the known offset is not undone
    assert calibration_error(y, p) > 1.5 * limit(p)
    raw = calibration_error(y, scores.probability)
    assert calibration_error(y, p) > 0.8 * raw  # hardly better than no calibration at all
    undone = cross_fitted("temperature", scores, float(np.log(weight)), 5, 0)
    assert calibration_error(y, undone) < 0.5 * calibration_error(y, p)


def test_a_threshold_chosen_on_half_the_real_lesions_is_judged_on_the_other_half(by_weight):
    """`lower_bound` gives up specificity for its promise; `point` is as good as a coin."""
    from components.common.artifacts.policy import Calibrator

    scores = by_weight[4.12]
    rng, names = np.random.default_rng(0), np.unique(scores.group_id)
    reached = {"lower_bound": [], "point": []}
    for _ in range(60):
        half = np.isin(scores.group_id, rng.permutation(names)[: len(names) // 2])
        one, other = (scores.take(np.flatnonzero(mask)) for mask in (half, ~half))
        for policy, shown in reached.items():
            config = CalibrateConfig.parse({"operating_point": policy})
            threshold = choose(config, one, Calibrator("none")).threshold_logit
            shown.append(np.mean(other.logit[other.label == 1] >= threshold))
    assert np.mean(reached["lower_bound"]) > 0.92
    assert np.mean(np.array(reached["lower_bound"]) >= 0.90) > 0.8
    assert 0.3 < np.mean(np.array(reached["point"]) >= 0.90) < 0.7
