"""The measured gain of test-time augmentation."""

import numpy as np
import pytest

from components.common.decision import Calibrator, DecisionPolicy
from components.export.augmentation import gain

RULE = DecisionPolicy(Calibrator("none"), 0.0, 0.5, {}, {}, 0.5, "m", "v")
LABEL = np.array([0, 0, 1, 1], np.int8)


def test_gain_is_the_difference_of_each_figure():
    plain, augmented = np.array([-1.0, 0.5, -0.5, 1.0]), np.array([-1.0, -0.5, 0.5, 1.0])
    found = gain(LABEL, plain, augmented, RULE)
    assert found["roc_auc"] == {"plain": 0.75, "augmented": 1.0, "gain": 0.25}
    assert found["sensitivity"] == {"plain": 0.5, "augmented": 1.0, "gain": 0.5}
    assert found["specificity"]["gain"] == 0.5
    assert found["log_loss"]["gain"] < 0
    assert found["changed_decisions"] == 2
    assert found["images"] == 4


def test_one_class_alone_has_a_log_loss_only():
    found = gain(np.zeros(3, np.int8), np.zeros(3), np.zeros(3), RULE)
    assert set(found) == {"log_loss", "images", "changed_decisions"}
    assert found["log_loss"]["plain"] == pytest.approx(np.log(2))
