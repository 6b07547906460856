"""The decision policy as graph operations: `components.common.artifacts.policy` in TensorFlow, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from components.common.artifacts.policy import Calibrator, DecisionPolicy
from components.common.bundle import layout


def probability(calibrator: Calibrator, logit: Any) -> Any:
    """P(malignant) of raw logits, float64 [N] to float64 [N]; see `Calibrator` for the formulas."""
    u = logit - (0.0 if calibrator.name == "none" else calibrator.offset)
    p = calibrator.parameters
    if calibrator.name == "temperature":
        return tf.sigmoid(u / p["t"])
    if calibrator.name == "platt":
        return tf.sigmoid(p["a"] * u + p["b"])
    if calibrator.name == "beta":
        return tf.sigmoid(-p["a"] * tf.math.softplus(-u) + p["b"] * tf.math.softplus(u) + p["c"])
    if calibrator.name == "isotonic":
        return _interpolate(u, np.asarray(p["x"], np.float64), np.asarray(p["y"], np.float64))
    if calibrator.name not in ("none", "offset"):  # served as something else, it would be a wrong probability
        raise NotImplementedError(f"calibrator {calibrator.name} has no formula in the serving graph")
    return tf.sigmoid(u)


def _interpolate(u: Any, x: np.ndarray[Any, Any], y: np.ndarray[Any, Any]) -> Any:
    """numpy.interp: linear between knots, constant outside."""
    if len(x) == 1:
        return tf.fill(tf.shape(u), tf.constant(y[0], u.dtype))
    x, y = (values.astype(u.dtype.as_numpy_dtype) for values in (x, y))
    inside = tf.clip_by_value(u, x[0], x[-1])
    # counted, since ONNX has no binary search
    left = tf.reduce_sum(tf.cast(inside[:, None] >= x[None], tf.int32), axis=1) - 1
    left = tf.clip_by_value(left, 0, len(x) - 2)
    x0, x1, y0, y1 = (tf.gather(knots, left + k) for knots in (x, y) for k in (0, 1))
    share = tf.math.divide_no_nan(inside - x0, x1 - x0)
    return tf.where(u >= x[-1], y[-1], tf.where(u <= x[0], y[0], y0 + share * (y1 - y0)))


def decide(
    policy: DecisionPolicy,
    logit: Any,
    status: Any,
    kind: Any = tf.float64,
    distance: Any = None,
    limit: float | None = None,
) -> dict[str, Any]:
    """All outputs of a bundle for a batch.

    Args:
        policy: the decision policy; its numbers become constants of the graph.
        logit: float32 [N], raw malignant logits.
        status: int32 [N], codes of `layout.STATUSES`.
        kind: arithmetic of the calibrator. In float32, thresholds on logits hold exactly, because they are
            float32 values; see `operating_point`.
        distance: float32 [N], from the training images; None where it is not measured.
        limit: distance beyond which an image is not a dermoscopic one; None where nothing is refused.

    Returns:
        The tensors named in `layout.OUTPUTS` and the distance, each [N].
    """
    outputs = decide_codes(policy, logit, status, kind, distance, limit)
    status = outputs["status"]
    return outputs | {
        "policy_id": tf.fill(tf.shape(status), policy.policy_id),
        "status": tf.gather(tf.constant(layout.STATUSES), status),
    }


def decide_codes(
    policy: DecisionPolicy, logit: Any, status: Any, kind: Any, distance: Any, limit: float | None
) -> dict[str, Any]:
    """`decide` without text: the status as its code, and no policy id."""
    exact = tf.cast(logit, kind)
    p = probability(policy.calibrator, exact)
    decision = tf.where(exact >= policy.threshold_logit, layout.MALIGNANT, layout.BENIGN)
    if policy.abstain is not None:
        between = (p > policy.abstain["low"]) & (p < policy.abstain["high"]) & tf.equal(status, layout.OK)
        decision = tf.where(between, layout.REFER, decision)
        status = tf.where(between, layout.REFERRED, status)
    read = status <= layout.REFERRED
    answered = read
    far = tf.fill(tf.shape(logit), layout.NO_DISTANCE)
    if distance is not None:
        # not a number is the farthest, not the nearest
        far = tf.where(distance <= layout.MOST_DISTANCE, distance, layout.MOST_DISTANCE)
        far = tf.where(read, far, layout.NO_DISTANCE)
    if distance is not None and limit is not None:
        refused = far > limit
        decision = tf.where(refused, layout.REFER, decision)
        status = tf.where(refused, layout.NOT_DERMOSCOPY, status)
        answered = read & ~refused
    return {
        "probability": tf.where(answered, tf.cast(p, tf.float32), layout.NO_PROBABILITY),
        "decision": tf.where(read, decision, layout.UNREADABLE),
        "logit": tf.where(read, logit, layout.NO_LOGIT),
        "status": status,
        layout.DISTANCE: far,
    }
