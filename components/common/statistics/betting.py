"""Tests that may be looked at as often as one likes: betting against "nothing has changed" on a stream of images.

Every test here is an e-process: a capital that starts at 1 and that no bettor can expect to raise while nothing
changes. The chance that it ever reaches 1 / alpha, over all looks for ever, is then at most alpha (Ville 1939; Ramdas
et al. 2023, Stat Sci 38:576, doi:10.1214/23-STS894).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort

import numpy as np
import numpy.typing as npt
from scipy.special import betainc, betaln
from scipy.stats import norm

from components.common.statistics.numeric import Floats

EVERY = 10  # images between two possible beginnings of a change
EARLY = 5  # half of the capital is set aside for the first so many beginnings
_REFUSED_EVERY = 25
_MISSED = (0.05, 0.10)  # shares of values that lie below a threshold while nothing changes
_LOST = 0.10  # share of the values that fall below it after the change
_LOWER_STAKES = np.array([0.5, 0.25, 0.25])

# each row a density on [0, 1]: what a p-value multiplies the capital with


def _lower(p: Floats) -> Floats:
    # a shift of 0.4 standard deviations, and a few values that are very low
    shifted = np.exp(-0.4 * norm.ppf(np.clip(p, 1e-12, 1 - 1e-12)) - 0.08)
    return np.array([shifted, 0.5 / np.sqrt(np.maximum(p, 1e-12))])


def _changed(p: Floats) -> Floats:
    spread = np.abs(2 * p - 1)
    return np.vstack([_lower(p), _lower(1 - p), 0.5 + spread, 1.5 - spread])


def conformal_p_values(reference: Floats, stream: Floats, seed: int) -> Floats:
    """Where each new value lies among all before it, as a number that is uniform while nothing changes.

    Values of the reference and those that came earlier are the bag; ties are broken at random. If reference and
    stream are exchangeable, the p-values are independent and uniform on [0, 1], whatever the distribution and however
    small the reference (Vovk, Gammerman and Shafer 2005; Vovk 2021, Stat Sci 36:595, doi:10.1214/20-STS817).

    Args:
        reference: (m,) values; may be empty.
        stream: (n,) values in the order they came.
        seed: of the tie-breaking; a longer stream has the same beginning.

    Returns:
        (n,) low for values that are low.
    """
    share = np.random.default_rng(seed).random(len(stream))
    bag = sorted(float(value) for value in reference)
    p = np.empty(len(stream))
    for i, value in enumerate(float(one) for one in stream):
        below = bisect_left(bag, value)
        equal = bisect_right(bag, value) - below + 1
        p[i] = (below + share[i] * equal) / (len(bag) + 1)
        insort(bag, value)
    return p


def lower_capital(p: Floats, reference: int) -> Floats:
    """(n,) capital after each p-value, of a bettor who expects values to become lower: all of them, or a few.

    Half of it is on a shift of all values. The other half is on a tenth of them falling below a threshold that few were
    below before, the others staying as they were: malignant images that are missed and those that are not.

    Args:
        p: (n,) of `conformal_p_values`.
        reference: values that the bag held to begin with.
    """
    found = np.asarray(p, np.float64)
    return _capital(
        np.vstack([_lower(found)[:1], *(_few(found, share, reference) for share in _MISSED)]), _LOWER_STAKES
    )


def _few(p: Floats, share: float, reference: int) -> Floats:
    """What each p-value multiplies the capital with, where a tenth of the values falls below a threshold.

    The values below it enter the bag, so their share there grows: it is counted on from `share`, from earlier p-values
    alone, and the bet stays one that nobody can expect to win while nothing changes.
    """
    factors, below = np.empty(len(p)), share * (reference + 1)
    for i, value in enumerate(p):
        known = below / (reference + 1 + i)
        hit = value < known
        factors[i] = 1 - _LOST + (_LOST / known if hit else 0.0)
        below += hit
    return factors


def change_capital(p: Floats) -> Floats:
    """(n,) capital after each p-value, of a bettor who expects values to become lower, higher, wider or narrower."""
    return _capital(_changed(np.asarray(p, np.float64)))


def _capital(factors: Floats, stakes: Floats | None = None) -> Floats:
    """Stakes on each bet, equal ones unless given, and money set aside for a change that begins later.

    Before every tenth image a share 5 / ((k + 4) (k + 5)) of the start capital enters the game, so a long quiet time
    does not use up what finds a change (a mixture over its beginning, as in Shin et al. 2024, arXiv:2203.03532). The
    shares of all k add up to 1.
    """
    bets, images = factors.shape
    stakes = np.full(bets, 1.0 / bets) if stakes is None else stakes
    state, capital, starts = np.zeros(bets), np.empty(images), 0
    for i in range(images):
        if i % EVERY == 0:
            starts += 1
            state = state + stakes * EARLY / ((starts + EARLY - 1) * (starts + EARLY))
        state = np.minimum(state * factors[:, i], 1e300)
        capital[i] = state.sum() + EARLY / (starts + EARLY)
    return capital


def too_often_capital(hits: npt.NDArray[np.bool_], expected: float) -> Floats:
    """(n,) capital after each image, of a bettor who holds the share of hits to be above `expected`.

    The likelihood of a share above `expected`, mixed uniformly over [expected, 1], against that of `expected` itself:
    an e-process for every share up to `expected` (Robbins 1970, Ann Math Stat 41:1397). Money is set aside for a
    change that begins later.

    Args:
        hits: (n,) whether each image counts.
        expected: the share to be tested, in (0, 1).
    """
    found = np.asarray(hits, bool)
    capital = np.asarray(1.0 / (np.arange(len(found)) // _REFUSED_EVERY + 2.0), np.float64)
    for k, start in enumerate(range(0, len(found), _REFUSED_EVERY), 1):
        x = np.cumsum(found[start:]).astype(np.float64)
        n = np.arange(1, len(x) + 1, dtype=np.float64)
        above = np.maximum(betainc(n - x + 1, x + 1, 1 - expected), 1e-300)
        mixed = betaln(x + 1, n - x + 1) + np.log(above) - np.log1p(-expected)
        bet = mixed - x * np.log(expected) - (n - x) * np.log1p(-expected)
        capital[start:] += np.exp(np.minimum(bet, 600.0)) / (k * (k + 1))
    return capital


def share_interval(hits: npt.NDArray[np.bool_], alpha: float) -> tuple[float, float]:
    """A confidence interval for a share that holds at all looks together, with probability 1 - alpha.

    The shares against which a uniform mixture has not won 1 / alpha (Robbins 1970); found on a grid.

    >>> low, high = share_interval(np.array([True] * 90 + [False] * 10), 0.05)
    >>> round(low, 2), round(high, 2)
    (0.77, 0.97)
    """
    x, n = int(np.sum(hits)), len(hits)
    grid = np.linspace(1e-4, 1 - 1e-4, 9999)
    bet = betaln(x + 1, n - x + 1) - x * np.log(grid) - (n - x) * np.log1p(-grid)
    inside = grid[bet < -np.log(alpha)]
    return (0.0 if x == 0 else float(inside[0])), (1.0 if x == n else float(inside[-1]))
