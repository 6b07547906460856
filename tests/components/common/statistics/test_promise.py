"""Does a promised sensitivity hold: the answer of the rule that made the promise, and how many more would decide."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from components.common.statistics.intervals import groups_needed
from components.common.statistics.promise import judge


def one_sided(found, of, side):
    """The Clopper-Pearson bound of another package at 95 % one-sided confidence."""
    test = binomtest(found, of, alternative="greater" if side == "low" else "less")
    return getattr(test.proportion_ci(0.95, method="exact"), side)


@pytest.mark.parametrize(("found", "of"), [(17, 17), (57, 60), (20, 40), (0, 5), (171, 200)])
def test_the_bounds_are_those_of_clopper_and_pearson(found, of):
    said = judge(found, of, 0.90, 0.05)
    assert said.lower == pytest.approx(one_sided(found, of, "low"))
    assert said.upper == pytest.approx(one_sided(found, of, "high"))


@pytest.mark.parametrize(
    ("found", "of", "answer"),
    [(29, 29, "holds"), (28, 28, "too few"), (190, 200, "holds"), (160, 200, "does not hold"), (0, 3, "does not hold")],
)
def test_the_answer_is_that_of_the_bounds(found, of, answer):
    assert judge(found, of, 0.90, 0.05).answer == answer


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 60), st.data(), st.sampled_from([0.8, 0.9, 0.95]))
def test_as_many_more_as_it_says_decide_and_one_fewer_does_not(of, data, target):
    found = data.draw(st.integers(0, of))
    said = judge(found, of, target, 0.05)
    if said.answer != "too few" or said.more is None:
        return

    def then(more):
        """At the same rate, in whole lesions, rounded away from the answer."""
        found_then = found / of * (of + more)
        whole = math.floor(found_then + 1e-9) if found / of >= target else math.ceil(found_then - 1e-9)
        return judge(whole, of + more, target, 0.05).answer

    assert then(said.more) != "too few"
    assert then(said.more - 1) == "too few"


def test_without_any_lesion_as_many_are_asked_for_as_the_bound_needs():
    assert judge(0, 0, 0.90, 0.05).more == groups_needed(0.90, 0.05)


def test_at_the_target_itself_no_number_decides():
    assert judge(9, 10, 0.90, 0.05).more is None
