"""What labels can show at most, and the page that says so."""

import re
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from components.monitor.config import MonitorConfig
from components.monitor.power import most_power

PAGE = Path(__file__).parents[3] / "docs" / "explanation" / "monitoring.md"
ALPHA = MonitorConfig().alpha


def expected_power(images, prevalence, sensitivity, loss=0.1):
    """The power over how many of a number of labelled images happen to be malignant."""
    chance = binom.pmf(np.arange(images + 1), images, prevalence)
    return sum(chance[n] * most_power(int(n), sensitivity, ALPHA, loss) for n in np.flatnonzero(chance > 1e-9))


@pytest.mark.parametrize(("malignant", "sensitivity"), [(20, 0.9), (47, 0.94), (103, 0.97)])
def test_the_power_is_that_of_scipys_exact_test_on_drawn_counts(malignant, sensitivity):
    rng = np.random.default_rng(0)
    missed = rng.binomial(malignant, 1 - sensitivity + 0.1, 4000)
    level = {int(k): binomtest(int(k), malignant, 1 - sensitivity, alternative="greater").pvalue for k in set(missed)}
    found = np.mean([level[int(k)] <= ALPHA for k in missed])
    assert most_power(malignant, sensitivity, ALPHA) == pytest.approx(found, abs=4 * np.sqrt(0.25 / 4000))


def test_few_labels_show_nothing_and_a_loss_of_everything_shows_at_once():
    assert most_power(0, 0.9, ALPHA) == 0.0
    assert most_power(10, 0.9, ALPHA, loss=0.9) == 1.0
    assert expected_power(250, 0.2, 0.9, loss=0.0) < ALPHA


def test_the_page_on_monitoring_says_what_is_computed():
    page = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| (0\.\d\d) \| (\d+) of 100 \| (\d+) \| (\d+) \|$", page, re.MULTILINE)
    assert len(rows) == 3
    for sensitivity, *told in rows:
        powers = [expected_power(250, prevalence, float(sensitivity)) for prevalence in (0.19, 0.27, 0.41)]
        assert [int(one) for one in told] == [round(100 * one) for one in powers]
    for images, sensitivity in re.findall(r"(\d+) at a sensitivity of (0\.\d\d)", page):
        powers = [most_power(count, float(sensitivity), ALPHA) for count in range(int(images) - 1, 400)]
        assert powers[0] < 0.9 <= min(powers[1:])  # from this count on
