"""Confidence intervals: expanded percentiles of a bootstrap, Clopper-Pearson where a share is 0 or 1."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import beta, norm
from scipy.stats import t as student

from components.common.statistics.numeric import Floats
from components.common.statistics.resampling import Codes, group_counts

LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A value with its 95 % interval; None where it cannot be computed.

    Attributes:
        value: on the data as it is.
        lower: 2.5th percentile of the resamples, or slightly below (`tails`).
        upper: 97.5th percentile, or slightly above.
    """

    value: float | None
    lower: float | None
    upper: float | None

    def as_dict(self) -> dict[str, float | None]:
        """For JSON."""
        return asdict(self)


def tails(units: int | None) -> tuple[float, float]:
    """Quantiles to read: 2.5 % and 97.5 %, a little further out where few groups carry the estimate.

    The plain percentile interval is as narrow as a z interval with the variance divided by n; reading it
    at Phi(-sqrt(n / (n - 1)) t) gives back the width of a t interval (expanded percentile,
    Hesterberg 2015, doi:10.1080/00031305.2015.1089789).

    Args:
        units: groups of the rarer class; None for no correction.
    """
    low = (1 - LEVEL) / 2
    if units is not None and units > 2:
        low = float(norm.cdf(math.sqrt(units / (units - 1)) * student.ppf(low, units - 1)))
    return low, 1 - low


def percentile(value: float, resampled: Floats, units: int | None = None) -> Interval:
    """Percentile interval, read at `tails(units)`; resamples without a value (a class absent) are left out, if few.

    One group resampled is always itself: an estimate that depends on a single one has no interval.
    """
    finite = resampled[np.isfinite(resampled)]
    if not math.isfinite(value):
        return Interval(None, None, None)
    if len(finite) < 0.9 * len(resampled) or not len(finite) or (units is not None and units < 2):
        return Interval(float(value), None, None)
    low, high = np.quantile(finite, tails(units))
    return Interval(float(value), float(low), float(high))


def proportion(value: float, resampled: Floats, groups: int) -> Interval:
    """Like `percentile`; where all or none of `groups` groups count, Clopper-Pearson over groups (1934).

    Resampling 40 found of 40 always finds 40: the percentile interval would claim certainty. The exact interval of
    40 of 40 begins at 0.025 ** (1 / 40) = 0.912 (doi:10.1093/biomet/26.4.404).

        >>> round(proportion(1.0, np.ones(200), 40).lower, 3)
        0.912
    """
    found = percentile(value, resampled, groups)
    if found.value is None or groups == 0 or found.value not in (0.0, 1.0):
        return found
    tail = (1 - LEVEL) / 2
    if found.value == 1.0:
        return Interval(1.0, float(clopper_pearson_lower(groups, groups, tail)), 1.0)
    return Interval(0.0, 0.0, float(clopper_pearson_upper(0, groups, tail)))


def clopper_pearson_lower(found: Floats | float, n: Floats | int, tail: float) -> Floats:
    """Lower end of the one-sided (1 - tail) Clopper-Pearson interval for `found` of `n`.

    `found` may be fractional (a lesion of which half the images are found counts a half): the
    variance is then below the binomial's, so the bound errs on the safe side.

    >>> round(float(clopper_pearson_lower(40, 40, 0.025)), 3)
    0.912
    """
    x = np.asarray(found, np.float64)
    return np.where(x > 0, beta.ppf(tail, np.maximum(x, 1e-9), n - x + 1), 0.0)


def clopper_pearson_upper(found: Floats | float, n: Floats | int, tail: float) -> Floats:
    """Upper end of the one-sided (1 - tail) Clopper-Pearson interval for `found` of `n`."""
    x = np.asarray(found, np.float64)
    return np.where(x < n, beta.ppf(1 - tail, x + 1, np.maximum(n - x, 1e-9)), 1.0)


def groups_needed(target: float, delta: float) -> int:
    """Fewest malignant groups with which the Clopper-Pearson bound can reach `target`, when all are found.

    >>> groups_needed(0.90, 0.05)
    29
    """
    return math.ceil(math.log(delta) / math.log(target) - 1e-9)


def rarer(codes: Codes, label: npt.NDArray[np.int8]) -> int:
    """Groups of the class that has fewer: they decide how sure a ranking metric can be."""
    return min(len(np.unique(codes[label == 1])), len(np.unique(codes[label != 1])))


def group_share(right: npt.NDArray[np.bool_], groups: tuple[Codes, int], resamples: int, seed: int) -> Interval:
    """The share of images for which something holds, with its group-bootstrap interval (`proportion`).

    Args:
        right: (n,) whether it holds.
        groups: (n,) group of each image and how many there are, from `group_codes`.
        resamples: of whole groups.
        seed: of the resamples.
    """
    codes, count = groups
    held, size = np.bincount(codes, right, minlength=count), np.bincount(codes, minlength=count)
    shares = [(held @ drawn) / (size @ drawn) for drawn in group_counts(count, resamples, seed)]
    return proportion(float(np.mean(right)), np.concatenate(shares), count)
