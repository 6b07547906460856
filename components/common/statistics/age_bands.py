"""Age bands, by which tables and slices divide people."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

AGE_BANDS = ("<40", "40-59", "60-79", "80+")
UNKNOWN = "unknown"
_FROM = (40, 60, 80)  # years at which the second, third and fourth band begin


def age_band(age: npt.NDArray[Any]) -> npt.NDArray[np.str_]:
    """The band of each age.

    Args:
        age: (n,) years; NaN where unknown. 0 is unknown as well: HAM10000 writes it for adults of unknown age.

    Returns:
        (n,) one of `AGE_BANDS`, or `UNKNOWN`.
    """
    years = age.astype(np.float64)
    band = np.array(AGE_BANDS)[np.digitize(years, _FROM)]
    return np.where(np.isfinite(years) & (years > 0), band, UNKNOWN)
