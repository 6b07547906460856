"""From resampled values to an interval a person may read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import beta

from components.common.decision import Floats

LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A value with its 95 % interval; None where it cannot be computed.

    Attributes:
        value: on the data as it is.
        lower: 2.5th percentile of the resamples.
        upper: 97.5th percentile.
    """

    value: float | None
    lower: float | None
    upper: float | None

    def as_dict(self) -> dict[str, float | None]:
        """For JSON."""
        return asdict(self)


def percentile(value: float, resampled: Floats) -> Interval:
    """Percentile interval; resamples without a value (a class absent) are left out, if they are few."""
    finite = resampled[np.isfinite(resampled)]
    if not math.isfinite(value):
        return Interval(None, None, None)
    if len(finite) < 0.9 * len(resampled) or not len(finite):
        return Interval(float(value), None, None)
    low, high = np.quantile(finite, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(value), float(low), float(high))


def proportion(value: float, resampled: Floats, groups: int) -> Interval:
    """Like `percentile`; where all or none of `groups` groups count, Clopper-Pearson over groups.

    Resampling 40 found of 40 always finds 40: the percentile interval would claim certainty.
    """
    found = percentile(value, resampled)
    if found.value is None or groups == 0 or found.value not in (0.0, 1.0):
        return found
    tail = (1 - LEVEL) / 2
    if found.value == 1.0:
        return Interval(1.0, float(beta.ppf(tail, groups, 1)), 1.0)
    return Interval(0.0, 0.0, float(beta.ppf(1 - tail, 1, groups)))


def as_dicts(values: Mapping[str, Interval]) -> dict[str, Any]:
    """For JSON."""
    return {name: value.as_dict() for name, value in values.items()}
