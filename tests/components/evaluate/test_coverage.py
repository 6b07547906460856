"""How often a 95 % interval holds the truth, on simulated clustered lesions."""

import numpy as np
import pytest
from scipy.stats import norm

from components.common.statistics.intervals import percentile, rarer, tails
from components.common.statistics.numeric import Floats
from components.common.statistics.ranking import Ranking
from components.evaluate.operating import count_calls, rates

NAMES = ("roc_auc", "average_precision")
DATASETS, RESAMPLES, LESIONS, THRESHOLD = 500, 400, 500, -0.2


def draw(rng, lesions) -> tuple[Floats, np.ndarray, np.ndarray]:
    """One to five images per lesion, alike within it, one lesion in five malignant."""
    malignant = rng.random(lesions) < 0.2
    images = rng.integers(1, 6, lesions)
    codes = np.repeat(np.arange(lesions), images)
    centre = np.where(malignant, 1.0, -1.0) + rng.normal(0, 1.0, lesions)
    return centre[codes] + rng.normal(0, 0.4, len(codes)), malignant[codes].astype(np.int8), codes


def truth():
    """The same in closed form: scores are N(+-1, 1.16), one malignant in five, lesion sizes tell nothing."""
    sd, t = np.sqrt(1.0 + 0.4**2), np.linspace(-10, 12, 200_001)
    found, alarms = norm.sf(t, 1, sd), norm.sf(t, -1, sd)
    precision = 0.2 * found / (0.2 * found + 0.8 * alarms)
    return {
        "roc_auc": float(norm.cdf(2 / np.sqrt(2 * sd**2))),
        "average_precision": float(np.trapezoid(precision * norm.pdf(t, 1, sd), t)),
        "sensitivity": float(norm.sf(THRESHOLD, 1, sd)),
    }


def intervals(score, label, codes, groups, seed):
    ranking = Ranking(score, label, codes, groups)
    value, drawn = ranking.value(NAMES), ranking.resampled(RESAMPLES, seed, NAMES)
    found = {name: percentile(value[name], drawn[name], rarer(codes, label)) for name in NAMES}
    calls = count_calls(score, np.array([THRESHOLD]), label, codes, groups, resamples=RESAMPLES, seed=seed)
    return {**found, "sensitivity": rates(calls).sensitivity}


def test_lesion_intervals_cover_and_image_intervals_do_not():
    expected, rng = truth(), np.random.default_rng(2)
    lesion = dict.fromkeys(expected, 0)
    image = dict(lesion)
    for seed in range(DATASETS):
        score, label, codes = draw(rng, LESIONS)
        for counted, unit, groups in ((lesion, codes, LESIONS), (image, np.arange(len(codes)), len(codes))):
            for name, found in intervals(score, label, unit, groups, seed).items():
                counted[name] += found.lower <= expected[name] <= found.upper
    for name in expected:
        assert 0.93 <= lesion[name] / DATASETS <= 0.97, (name, lesion[name] / DATASETS)
        assert image[name] / DATASETS < 0.88, (name, image[name] / DATASETS)


def test_few_groups_are_read_further_out():
    low = [tails(n)[0] for n in (10, 30, 175, 100_000)]
    assert low == sorted(low)
    assert low[0] == pytest.approx(0.0085, abs=5e-4)
    assert low[-1] == pytest.approx(0.025, abs=1e-5)
    assert tails(None) == (pytest.approx(0.025), pytest.approx(0.975))


@pytest.mark.parametrize("groups", [30, 300])
def test_more_lesions_give_narrower_intervals(groups):
    score, label, codes = draw(np.random.default_rng(3), groups)
    found = intervals(score, label, codes, groups, 0)["roc_auc"]
    assert (found.upper - found.lower < 0.15) == (groups == 300)
