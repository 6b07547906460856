"""The decision policy in the graph against `components.common.artifacts.policy`."""

import numpy as np
import pytest
import tensorflow as tf

from components.common.artifacts.policy import CALIBRATORS as NAMES
from components.common.artifacts.policy import Calibrator, DecisionPolicy
from components.common.bundle.layout import CORRUPT, OK, TOO_SMALL
from components.export.rule import decide, probability

CALIBRATORS = [
    Calibrator("none", 0.0),
    Calibrator("offset", 1.416),
    Calibrator("temperature", 1.416, {"t": 1.7}),
    Calibrator("platt", 1.416, {"a": 0.83, "b": -0.4}),
    Calibrator("beta", 1.416, {"a": 0.7, "b": 1.3, "c": -0.2}),
    Calibrator("beta", 0.3, {"a": 0.0, "b": 1.3, "c": -0.2}),
    Calibrator("isotonic", 1.416, {"x": [-3.0, -1.0, -1.0, 0.25, 2.0], "y": [0.0, 0.1, 0.2, 0.2, 0.97]}),
    Calibrator("isotonic", 0.0, {"x": [0.5], "y": [0.3]}),
]
LOGITS = np.concatenate([np.linspace(-40, 40, 2001), [-3 + 1.416, -1 + 1.416, 0.25 + 1.416, 1e-12, -1000.0, 1000.0]])


def policy(calibrator, threshold=0.3, abstain=None):
    p = float(calibrator.probability(np.array([threshold]))[0])
    return DecisionPolicy(calibrator, threshold, p, {}, {}, 0.2, "m", "v", abstain)


def test_no_calibrator_is_left_out_here():
    assert {calibrator.name for calibrator in CALIBRATORS} == set(NAMES)


@pytest.mark.parametrize("calibrator", CALIBRATORS, ids=lambda c: f"{c.name}-{len(c.parameters)}")
def test_every_calibrator_agrees_with_the_policy(calibrator):
    ours = probability(calibrator, tf.constant(LOGITS)).numpy()
    assert ours.dtype == np.float64
    np.testing.assert_allclose(ours, calibrator.probability(LOGITS), atol=1e-12)


def test_decision_is_taken_on_the_raw_logit_at_equality():
    rule = policy(CALIBRATORS[3], threshold=float(np.float32(0.3)))
    logit = np.array([0.3, np.nextafter(np.float32(0.3), np.float32(0)), 5.0], np.float32)
    out = decide(rule, tf.constant(logit), tf.constant([OK] * 3))
    assert out["decision"].numpy().tolist() == [1, 0, 1]
    assert out["decision"].numpy().tolist() == rule.decide(logit).astype(int).tolist()
    assert out["policy_id"].numpy().tolist() == [rule.policy_id.encode()] * 3


def test_abstain_band_is_open_and_unreadable_rows_stay_unreadable():
    rule = policy(Calibrator("none"), threshold=0.0, abstain={"low": 0.25, "high": 0.75})
    logit = tf.constant(np.log([0.2 / 0.8, 1 / 3, 0.5 / 0.5, 3.0, 0.9 / 0.1, 1.0]), tf.float32)
    status = tf.constant([OK, TOO_SMALL, OK, CORRUPT, OK, CORRUPT])
    out = decide(rule, logit, status)
    assert out["decision"].numpy().tolist() == [0, -1, 2, -1, 1, -1]
    assert out["status"].numpy().tolist() == [b"ok", b"too_small", b"refer", b"corrupt", b"ok", b"corrupt"]
    assert out["probability"].numpy()[[1, 3, 5]].tolist() == [-1, -1, -1]
    assert all(out[name].dtype == tf.float32 for name in ("probability", "logit"))
