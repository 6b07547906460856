"""Numbers as arrays of float64, and the logistic function."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_EPS = 1e-12

Floats = npt.NDArray[np.float64]


def sigmoid(x: Floats) -> Floats:
    """1 / (1 + exp(-x)) without overflow, any shape."""
    return 0.5 * (1.0 + np.tanh(0.5 * np.asarray(x, np.float64)))


def logit_of(p: Floats) -> Floats:
    """ln(p / (1 - p)), with p clipped to [1e-12, 1 - 1e-12]."""
    q = np.clip(np.asarray(p, np.float64), _EPS, 1 - _EPS)
    return np.log(q) - np.log1p(-q)
