"""Fisher's exact test of a table of two rows and two columns."""

from __future__ import annotations

import math

import numpy as np


def fisher_exact(a: int, b: int, c: int, d: int) -> float:
    """Two-sided p-value of Fisher's exact test on the table [[a, b], [c, d]].

    The sum of the probabilities of all tables with the same margins that are no likelier than this one
    (Fisher 1922; the two-sided rule of R's `fisher.test`).
    """
    drawn, left, right = a + c, a + b, c + d
    k = np.arange(max(0, drawn - right), min(drawn, left) + 1)
    log_p = np.array([_log_choose(left, int(i)) + _log_choose(right, drawn - int(i)) for i in k])
    log_p -= _log_choose(left + right, drawn)
    return min(1.0, float(np.exp(log_p[log_p <= log_p[a - k[0]] + 1e-7]).sum()))


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
