from dataclasses import replace

import numpy as np
import pytest

from components.common.artifacts.policy import Calibrator, DecisionPolicy
from components.common.runtime.errors import DataError
from components.evaluate.champion import compare, paired_differences


def rule(threshold):
    return DecisionPolicy(Calibrator("none"), threshold, 0.5, {"policy": "point"}, {}, 0.2, "0" * 64, "0" * 64)


def test_pairing_makes_a_small_real_gain_visible(sim):
    scores = sim(600, 1)
    noise = np.random.default_rng(2).normal(0, 0.8, len(scores))
    found = compare(scores, replace(scores, logit=scores.logit + noise), 1000, 0)
    assert found.auc_difference.lower > 0
    width = found.auc_difference.upper - found.auc_difference.lower
    assert width < found.auc_champion.upper - found.auc_champion.lower


def test_other_images_are_refused_by_name(sim):
    scores = sim(50, 3)
    with pytest.raises(DataError, match=r"test set: \d+ images against \d+, .*'LI000000' is in one only"):
        compare(scores, scores.take(np.arange(1, len(scores))), 200, 0)


def test_other_labels_are_refused_by_name(sim):
    scores = sim(50, 4)
    with pytest.raises(DataError, match=r"label \d for image 'LI000000' against \d \(\d+ such images\)"):
        compare(scores, replace(scores, label=1 - scores.label), 200, 0)


def test_a_model_differs_from_itself_by_nothing_in_any_order(sim):
    scores = sim(200, 0)
    other = scores.take(np.random.default_rng(0).permutation(len(scores)))
    found = paired_differences(scores, rule(0.0), other, rule(0.0), 200, 0)
    assert list(found) == ["roc_auc", "average_precision", "sensitivity", "specificity"]
    for name in found:
        assert (found[name].value, found[name].lower, found[name].upper) == (0.0, 0.0, 0.0)


def test_each_model_is_held_against_its_own_threshold(sim):
    """A lower threshold of the same scores finds more and clears fewer, and nothing changes in the ranking."""
    scores = sim(400, 1)
    found = paired_differences(scores, rule(-1.0), scores, rule(0.0), 500, 0)
    malignant = scores.label == 1
    found_more = np.mean(scores.logit[malignant] >= -1) - np.mean(scores.logit[malignant] >= 0)
    cleared = np.mean(scores.logit[~malignant] < -1) - np.mean(scores.logit[~malignant] < 0)
    assert found["sensitivity"].value == pytest.approx(found_more) and found_more > 0
    assert found["specificity"].value == pytest.approx(cleared) and cleared < 0
    assert found["sensitivity"].lower >= 0 >= found["specificity"].upper
    assert found["roc_auc"].value == 0.0


def test_an_image_that_one_bundle_refuses_is_not_cleared_by_it(sim):
    scores = sim(200, 5)
    cleared = (scores.label == 0) & (scores.logit < 0)
    refusing = replace(scores, distance=cleared.astype(float), refused=cleared)
    found = paired_differences(refusing, rule(0.0), scores, rule(0.0), 200, 0)
    assert found["specificity"].value == pytest.approx(-cleared.sum() / (scores.label == 0).sum())
    assert found["sensitivity"].value == 0.0


def test_the_interval_is_narrower_than_that_of_two_models_apart(sim):
    scores = sim(600, 2)
    noisy = replace(scores, logit=scores.logit + np.random.default_rng(2).normal(0, 0.3, len(scores)))
    found = paired_differences(scores, rule(0.0), noisy, rule(0.0), 500, 0)["sensitivity"]
    apart = paired_differences(scores, rule(0.0), scores, rule(-9.0), 500, 0)[
        "sensitivity"
    ]  # against 1 in each resample
    assert found.upper - found.lower < apart.upper - apart.lower
