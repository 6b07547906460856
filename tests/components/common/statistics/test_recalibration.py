import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from components.common.statistics.numeric import sigmoid
from components.common.statistics.recalibration import closed_test

LARGEST = "intercept_and_slope"


def lesions(rng, groups, intercept=0.0, slope=1.0, spread=0.0):
    """Photographs of lesions whose labels follow sigmoid((logit - intercept) / slope); one label per lesion."""
    truth = rng.normal(-2.0, 1.8, groups)
    malignant = rng.random(groups) < sigmoid(truth)
    codes = np.repeat(np.arange(groups), rng.integers(1, 4, groups))
    logit = intercept + slope * (truth[codes] + rng.normal(0, spread, len(codes)))
    return logit, malignant[codes].astype(float), codes


def test_a_model_that_is_right_is_changed_with_at_most_the_level_of_the_test():
    """Three photographs of a lesion are one observation: counted as three, 15 % of right models would be changed."""
    rng = np.random.default_rng(0)
    changed = [closed_test(*lesions(rng, 200), LARGEST).step != "kept" for _ in range(400)]
    assert np.mean(changed) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 400)
    one_each = [
        closed_test(logit, y, np.arange(len(y)), LARGEST).step != "kept"
        for logit, y, _ in (lesions(rng, 200) for _ in range(200))
    ]
    assert np.mean(one_each) > 0.09


def test_a_planted_shift_is_answered_with_an_intercept_and_a_planted_slope_with_both():
    rng = np.random.default_rng(1)
    shifted = [closed_test(*lesions(rng, 300, intercept=2.0), LARGEST) for _ in range(50)]
    assert np.mean([one.step == "intercept" for one in shifted]) >= 0.9
    assert np.median([one.intercept for one in shifted]) == pytest.approx(-2.0, abs=0.15)
    stretched = [closed_test(*lesions(rng, 300, 2.0, 0.4), LARGEST) for _ in range(50)]
    assert np.mean([one.step == LARGEST for one in stretched]) >= 0.9
    assert np.median([one.slope for one in stretched]) == pytest.approx(2.5, rel=0.1)


def test_the_fit_is_that_of_scikit_learn_and_the_slope_is_shrunken_towards_one():
    logit, y, codes = lesions(np.random.default_rng(2), 200, 1.0, 0.4)
    weight = 1 / np.bincount(codes)[codes]
    found = closed_test(logit, y, codes, LARGEST)
    peer = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(logit[:, None], y, sample_weight=weight)
    assert found.fitted_slope == pytest.approx(peer.coef_[0, 0], abs=1e-5)
    assert 1 < found.slope < found.fitted_slope
    assert found.shrinkage == pytest.approx(1 - 1 / found.tests[-1].statistic)
    # fitted around the shrunken slope, the mean is still right
    assert np.average(sigmoid(found.logit(logit)), weights=weight) == pytest.approx(np.average(y, weights=weight))


def test_no_more_is_tried_than_is_allowed():
    logit, y, codes = lesions(np.random.default_rng(3), 300, 2.0, 0.4)
    assert closed_test(logit, y, codes, "intercept").step == "intercept"
    assert closed_test(logit, y, codes, "intercept").fitted_slope is None
    assert closed_test(logit, y, codes, "kept").step == "kept"
