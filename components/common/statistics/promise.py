"""Does a promised sensitivity hold on new lesions, and if that is still undecided, how many more would decide it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from components.common.statistics.intervals import clopper_pearson_lower, clopper_pearson_upper, groups_needed

Answer = Literal["holds", "does not hold", "too few"]
_MOST = 10_000  # lesions looked ahead


@dataclass(frozen=True)
class Promise:
    """A promised sensitivity against what was found.

    Attributes:
        answer: holds: the lower bound reaches the target; does not hold: the upper bound is below it; else too few.
        found: malignant lesions found.
        of: malignant lesions.
        lower: one-sided Clopper-Pearson lower bound at 1 - delta.
        upper: one-sided upper bound at 1 - delta.
        more: malignant lesions that would decide it, if they are found at the same rate; None where it is decided, or
            where the rate is so near to the target that no number in reach decides.
    """

    answer: Answer
    found: int
    of: int
    lower: float
    upper: float
    more: int | None


def judge(found: int, of: int, target: float, delta: float) -> Promise:
    """Compares a sensitivity with its target by the rule that made the promise (Clopper and Pearson 1934).

    >>> judge(17, 17, 0.90, 0.05).answer, judge(17, 17, 0.90, 0.05).more
    ('too few', 12)
    >>> judge(29, 29, 0.90, 0.05).answer, judge(20, 40, 0.90, 0.05).answer
    ('holds', 'does not hold')
    """
    lower, upper = (float(end(found, of, delta)) for end in (clopper_pearson_lower, clopper_pearson_upper))
    if of and lower >= target:
        return Promise("holds", found, of, lower, upper, None)
    if of and upper < target:
        return Promise("does not hold", found, of, lower, upper, None)
    return Promise("too few", found, of, lower, upper, _more(found, of, target, delta))


def _more(found: int, of: int, target: float, delta: float) -> int | None:
    if not of:  # nothing is known of the rate: as many as all found would take
        return groups_needed(target, delta)
    rate = found / of
    n = np.arange(of + 1, _MOST + 1, dtype=np.float64)
    if rate >= target:
        decided = clopper_pearson_lower(np.floor(rate * n + 1e-9), n, delta) >= target
    else:
        decided = clopper_pearson_upper(np.ceil(rate * n - 1e-9), n, delta) < target
    return int(n[np.argmax(decided)]) - of if decided.any() else None
