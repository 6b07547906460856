"""Two independent sets: weighted figures, differences, and standardising to another mix of diagnoses."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from components.common.statistics.numeric import sigmoid
from components.common.statistics.recalibration import calibration_line
from components.common.statistics.resampling import group_codes
from components.common.statistics.transport import Sample, draw, standardise, weighted_auc


def sample_of(n, seed, shift=0.0, prevalence=0.3):
    rng = np.random.default_rng(seed)
    label = (rng.random(n) < prevalence).astype(np.int8)
    logit = rng.normal(1.6 * label - 1.2, 1.0) + shift
    codes, groups = group_codes((np.arange(n) // 2).astype(str))
    return Sample(logit, sigmoid(logit), logit >= -1.0, label, codes, groups)


def with_(sample, **changes):
    return Sample(**{**vars(sample), **changes})


def test_the_weighted_area_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 300).astype(np.int8)
    score = np.round(label + rng.normal(size=300), 1)  # with ties
    weight = rng.integers(0, 5, (300, 4)).astype(np.float64) + 0.25
    expected = [roc_auc_score(label, score, sample_weight=weight[:, k]) for k in range(4)]
    assert weighted_auc(score, label, weight) == pytest.approx(expected)


def test_without_weights_the_figures_are_the_evaluations_own():
    sample = sample_of(400, 1)
    drawn = draw(sample, 400, 0)
    assert drawn["roc_auc"].value == pytest.approx(roc_auc_score(sample.label, sample.score))
    assert drawn["sensitivity"].value == pytest.approx(sample.positive[sample.label == 1].mean())
    assert drawn["specificity"].value == pytest.approx((~sample.positive)[sample.label == 0].mean())
    line = calibration_line(sample.probability, sample.label.astype(float), sample.codes, sample.groups, 400, 0)
    for name, found in zip(("calibration_intercept", "calibration_slope"), line, strict=True):
        assert drawn[name].interval().value == pytest.approx(found.value)
        assert drawn[name].interval().lower == pytest.approx(found.lower, abs=1e-6)
        assert drawn[name].interval().upper == pytest.approx(found.upper, abs=1e-6)


def test_whole_weights_are_repeated_rows():
    sample = sample_of(200, 2)
    times = np.random.default_rng(5).integers(1, 4, 200)
    rows = np.repeat(np.arange(200), times)
    columns = ("score", "probability", "positive", "label", "codes")
    repeated = with_(sample, **{name: getattr(sample, name)[rows] for name in columns})
    weighted = draw(with_(sample, weight=times.astype(float)), 200, 0)
    for name, found in draw(repeated, 200, 0).items():
        assert weighted[name].value == pytest.approx(found.value)


def test_differences_of_independent_sets_exclude_none_as_rarely_as_they_say():
    excluded = 0
    for seed in range(60):
        here, there = draw(sample_of(240, 2 * seed), 300, 0), draw(sample_of(240, 2 * seed + 1), 300, 1)
        found = here["roc_auc"].minus(there["roc_auc"])
        excluded += not found.lower <= 0 <= found.upper
    assert excluded <= 8  # of 60; 3 are expected


def test_two_shares_of_one_are_not_certainly_equal():
    found = draw(sample_of(60, 3, shift=20.0), 400, 0)["sensitivity"]
    other = draw(sample_of(80, 4, shift=20.0), 400, 1)["sensitivity"]
    difference = found.minus(other)
    assert difference.value == 0
    assert difference.lower < -0.02 < 0.02 < difference.upper


def test_a_class_that_is_missing_gives_no_ranking_and_no_interval():
    drawn = draw(with_(sample_of(50, 5), label=np.zeros(50, np.int8)), 200, 0)
    assert drawn["roc_auc"].interval().value is None
    assert drawn["specificity"].interval().value is not None


def test_case_mix_is_taken_out_of_a_difference_that_is_nothing_else():
    """The same model on the same diagnoses, easy and hard ones, in another mix."""
    rng = np.random.default_rng(0)

    def place(share_hard, n):
        hard, label = rng.random(n) < share_hard, (np.arange(n) < n // 2).astype(np.int8)
        found = rng.random(n) < np.where(hard, 0.5, 0.95)
        logit = np.where(label == 1, np.where(found, 2.0, -2.0), rng.normal(-2, 1, n))
        diagnosis = np.where(label == 1, np.where(hard, "hard", "easy"), "nv")
        codes, groups = group_codes(np.arange(n).astype(str))
        return Sample(logit, sigmoid(logit), logit >= 0, label, codes, groups), diagnosis

    (there, dx_there), (here, dx_here) = place(0.1, 4000), place(0.7, 4000)
    mix = standardise(dx_here, dx_there)
    plain, weighted = draw(here, 200, 0), draw(with_(here, weight=mix.weight), 200, 0)
    other = draw(there, 200, 1)["sensitivity"]
    assert plain["sensitivity"].minus(other).upper < -0.2
    assert abs(weighted["sensitivity"].value - other.value) < 0.04
    assert mix.effective < 4000


def test_diagnoses_of_one_place_alone_have_no_weight_and_are_counted():
    mix = standardise(np.array(["mel", "nv", "wart"]), np.array(["mel", "nv", "nv", "bcc"]))
    assert mix.weight.tolist() == pytest.approx([0.75, 1.5, 0.0])
    assert mix.represented == pytest.approx(0.75)
    assert mix.effective == pytest.approx(2.25**2 / (0.75**2 + 1.5**2))
