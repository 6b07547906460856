"""Logistic regression by Newton's method: unpenalised, with offsets and weights, exact to rounding.

scikit-learn's solver has no offset, which calibration-in-the-large needs, and calibration refits it thousands of
times on one or two columns, where a few Newton steps cost microseconds.
"""

from __future__ import annotations

import numpy as np

from components.common.statistics.numeric import Floats, sigmoid

_STEPS = 60
_TOLERANCE = 1e-10
_MOST = 1e4  # separable data has no finite optimum: coefficients stop here


def fit_logistic(x: Floats, y: Floats, *, offset: Floats | float = 0.0, weight: Floats | None = None) -> Floats:
    """Maximum likelihood of P(y = 1) = sigmoid(offset + x @ beta).

    Args:
        x: (n, k) columns; give a column of ones for an intercept.
        y: (n,) labels, or target probabilities in [0, 1].
        offset: (n,) fixed part of the logit.
        weight: (n,) weights >= 0.

    Returns:
        (k,) coefficients. Where classes are separable, large finite values instead of infinity.

    >>> fit_logistic(np.ones((4, 1)), np.array([0.0, 0.0, 0.0, 1.0])).round(4)  # the logit of 1 in 4
    array([-1.0986])
    """
    w = np.ones(len(y)) if weight is None else np.asarray(weight, np.float64)
    beta = np.zeros(x.shape[1])
    loss = _loss(beta, x, y, offset, w)
    for _ in range(_STEPS):
        p = sigmoid(offset + x @ beta)
        gradient = x.T @ (w * (p - y))
        curvature = (x * (w * p * (1 - p))[:, None]).T @ x + 1e-12 * w.sum() * np.eye(x.shape[1])
        step = np.linalg.solve(curvature, gradient)
        scale = 1.0
        while scale > 1e-8:  # halve until the loss falls: Newton overshoots where the curve is flat
            proposal = np.clip(beta - scale * step, -_MOST, _MOST)
            fallen = _loss(proposal, x, y, offset, w)
            if fallen <= loss:
                break
            scale *= 0.5
        moved = float(np.abs(proposal - beta).max())
        if fallen <= loss:
            beta, loss = proposal, fallen
        if moved < _TOLERANCE * (1 + float(np.abs(beta).max())):
            break
    return beta


def _loss(beta: Floats, x: Floats, y: Floats, offset: Floats | float, w: Floats) -> float:
    z = offset + x @ beta
    return float(np.sum(w * (np.logaddexp(0.0, z) - y * z)))
