"""The measured gain of test-time augmentation."""

import numpy as np
import pytest

from components.common.artifacts.policy import Calibrator, DecisionPolicy
from components.common.bundle.parity_record import Gain, GainEstimate
from components.export.augmentation import gain

RULE = DecisionPolicy(Calibrator("none"), 0.0, 0.5, {}, {}, 0.5, "m", "v")
LABEL = np.tile(np.array([0, 0, 1, 1], np.int8), 10)


GROUP = np.array([f"g{i}" for i in range(40)])


def test_gain_is_the_difference_of_each_figure():
    plain, augmented = np.tile([-1.0, 0.5, -0.5, 1.0], 10), np.tile([-1.0, -0.5, 0.5, 1.0], 10)
    found = gain(LABEL, GROUP, plain, augmented, RULE)
    assert (found.roc_auc.before, found.roc_auc.after) == (0.75, 1.0)
    assert found.roc_auc.gain.value == 0.25
    assert found.roc_auc.gain.lower <= 0.25 <= found.roc_auc.gain.upper
    assert found.sensitivity == Gain(before=0.5, after=1.0, gain=GainEstimate(value=0.5))
    assert found.specificity.gain.value == 0.5
    assert found.log_loss.gain.value < 0
    assert found.changed_decisions == 20
    assert found.images == 40


def test_one_class_alone_has_a_log_loss_only():
    found = gain(np.zeros(3, np.int8), GROUP[:3], np.zeros(3), np.zeros(3), RULE)
    assert found.model_fields_set == {"log_loss", "images", "changed_decisions"}
    assert found.log_loss.before == pytest.approx(np.log(2))
