"""Class-conditional split conformal limits (Vovk 2012, arXiv:1209.2673): how extreme a new lesion may be.

A class stays in a new lesion's prediction set unless fewer than alpha (n + 1) of the n calibration lesions of that
class are at least as extreme. The nonconformity limit is thus the ceil((n + 1)(1 - alpha))-th smallest of n, and
at most alpha of new lesions of that class lie beyond it, whatever the model and however small n.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from components.common.statistics.numeric import Floats


def outside(n: int, alpha: float) -> int:
    """Which of n calibration lesions, from the most extreme on, is the limit: n + 1 - ceil((n + 1)(1 - alpha)).

    That is floor(alpha (n + 1)), computed exactly, with alpha as it is written: in floating point 0.29 * 100 is below
    29, and the limit would be one lesion too wide.

        >>> outside(99, 0.29), outside(19, 0.05), outside(18, 0.05)
        (29, 1, 0)
    """
    return (Fraction(str(float(alpha))) * (n + 1)).__floor__()


def lower_limit(values: Floats, alpha: float) -> float | None:
    """The value from which a new lesion belongs to the class whose calibration values these are.

    At most alpha of new lesions of the class lie below it. For an upper limit, negate the values.

        >>> import numpy as np
        >>> lower_limit(np.array([0.4, 0.1, 0.9, 0.7]), 0.4)
        0.4

    Args:
        values: (n,) one value per calibration lesion of the class; low is extreme.
        alpha: accepted error, in (0, 1).

    Returns:
        The limit, or None where n is too small to exclude anything: n + 1 < 1 / alpha.
    """
    k = outside(len(values), alpha)
    return float(np.sort(values)[k - 1]) if k >= 1 else None


def lesions_needed(alpha: float) -> int:
    """Fewest calibration lesions of a class with which a limit exists at `alpha`: ceil(1 / alpha) - 1."""
    return -((-1 / Fraction(str(float(alpha)))).__floor__()) - 1
