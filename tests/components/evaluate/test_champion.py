import numpy as np
import pytest

from components.common.artifacts.scores import Scores
from components.common.runtime.errors import DataError
from components.evaluate.champion import aligned, compare


def changed(scores, **columns):
    return Scores(**{**{k: getattr(scores, k) for k in scores.__dataclass_fields__}, **columns})


def take(scores, order):
    return scores.take(order)


def test_the_same_model_differs_by_nothing_in_any_order(sim):
    scores = sim(200, 0)
    found = compare(scores, take(scores, np.random.default_rng(0).permutation(len(scores))), 200, 0)
    assert found.auc_difference.lower == found.auc_difference.upper == 0.0
    assert found.ap_difference.value == 0.0


def test_pairing_makes_a_small_real_gain_visible(sim):
    scores = sim(600, 1)
    noise = np.random.default_rng(2).normal(0, 0.8, len(scores))
    found = compare(scores, changed(scores, logit=scores.logit + noise), 1000, 0)
    assert found.auc_difference.lower > 0
    width = found.auc_difference.upper - found.auc_difference.lower
    assert width < found.auc_champion.upper - found.auc_champion.lower


def test_other_images_are_refused_by_name(sim):
    scores = sim(50, 3)
    with pytest.raises(DataError, match=r"test set: \d+ images against \d+, .*'LI000000' is in one only"):
        aligned(scores, take(scores, np.arange(1, len(scores))))


def test_other_labels_are_refused_by_name(sim):
    scores = sim(50, 4)
    with pytest.raises(DataError, match=r"label \d for image 'LI000000' against \d \(\d+ such images\)"):
        aligned(scores, changed(scores, label=1 - scores.label))
