"""How likely a number of labels shows a loss at most: the power of the best test that looks once."""

from __future__ import annotations

import numpy as np
from scipy.stats import binom

LOSS = 0.10  # of sensitivity


def most_power(malignant: int, sensitivity: float, alpha: float, loss: float = LOSS) -> float:
    """Chance that the exact one-sided binomial test finds a lost sensitivity, looking once, with all labels at hand.

    The test counts missed malignant images, knows the sensitivity before exactly, and all images come after the loss:
    the likelihood-ratio test of such a count (Neyman and Pearson 1933), not randomised. One that may be looked at every
    week, and does not know when the loss began, finds it more rarely, unless scores show more than the count does.

    Args:
        malignant: labelled malignant images after the loss.
        sensitivity: before it.
        alpha: chance of a false alarm.
        loss: how much sensitivity is lost.

    >>> round(most_power(47, 0.93, 0.05), 2)
    0.71
    """
    missed = 1.0 - sensitivity
    counts = np.arange(malignant + 2)
    least = int(counts[np.argmax(binom.sf(counts - 1, malignant, missed) <= alpha)])
    return float(binom.sf(least - 1, malignant, min(missed + loss, 1.0)))
