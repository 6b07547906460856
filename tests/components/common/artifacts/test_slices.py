"""What slices show."""

import pytest

from components.common.artifacts.estimate import Estimate
from components.common.artifacts.slices import failures, gaps
from components.evaluate.trust import slices_line


@pytest.fixture
def row(slice_row):
    def make(name, value, n, malignant, sensitivity, specificity):
        return slice_row(name, value, n, malignant, sensitivity=sensitivity, specificity=specificity)

    return make


@pytest.fixture
def fine(graded):
    return graded(0.95, 0.88, 0.99)


@pytest.fixture
def judged(metrics):
    def make(*rows):
        return metrics.model_copy(
            update={"slices": list(rows), "specificity": Estimate(value=0.6, lower=0.5, upper=0.7)}
        )

    return make


def test_a_source_in_which_everything_is_predicted_malignant_fails(judged, row, graded, fine):
    bad = row("source", "clinic b", 71, 0, graded(), graded(0.0, 0.0, 0.05))
    (found,) = failures(judged(row("source", "clinic a", 200, 60, fine, graded(0.6, 0.5, 0.7)), bad))
    assert (found.row.value, found.figure, found.right, found.of, found.sure) == (
        "clinic b",
        "specificity",
        0,
        71,
        True,
    )


def test_a_group_whose_sensitivity_is_surely_below_the_target_fails(judged, row, graded):
    low = row("sex", "female", 90, 40, graded(0.7, 0.55, 0.85), graded(0.6, 0.5, 0.7))
    reached = row("sex", "male", 90, 40, graded(0.8, 0.65, 0.91), graded(0.6, 0.5, 0.7))
    (found,) = failures(judged(low, reached))
    assert (found.row.value, found.figure, found.right, found.of) == ("female", "sensitivity", 28, 40)


def test_few_images_are_named_last_and_a_wide_interval_is_no_failure(judged, row, graded):
    few = row("site", "ear", 12, 0, graded(), graded(0.0, 0.0, 0.26, few=True))
    sure = row("source", "b", 71, 0, graded(), graded(0.0, 0.0, 0.05))
    wide = row("site", "scalp", 3, 0, graded(), graded(0.0, 0.0, 0.7, few=True))
    assert [(one.row.value, one.sure) for one in failures(judged(few, wide, sure))] == [("b", True), ("ear", False)]


def test_the_largest_gap_comes_first_and_small_groups_are_not_compared(row, graded, fine):
    rows = [
        row("sex", "male", 90, 40, fine, graded(0.5, 0.4, 0.6)),
        row("sex", "female", 90, 40, fine, graded(0.7, 0.6, 0.8)),
        row("sex", "unknown", 9, 4, fine, graded(0.0, 0.0, 0.5, few=True)),
        row("source", "a", 90, 40, fine, graded(0.1, 0.0, 0.2)),
        row("source", "b", 90, 40, fine, graded(0.9, 0.8, 1.0)),
    ]
    found = gaps(rows, "specificity")
    assert [(gap.slice, gap.low_group, gap.high_group) for gap in found] == [
        ("source", "a", "b"),
        ("sex", "male", "female"),
    ]
    assert found[1].size == pytest.approx(0.2)


def test_a_wide_interval_is_not_called_a_group_that_does_well(judged, row, graded):
    wide = row("source", "clinic b", 40, 0, graded(), graded(0.1, 0.0, 0.35))
    line = slices_line(judged(wide))
    assert line.level == "green"
    assert line.answer.startswith("none was found: in no group does the whole 95 % interval lie below")


def test_the_line_names_what_groups_are_held_against_with_a_target_and_without(judged, row, fine):
    found = judged(row("sex", "male", 90, 40, fine, fine))
    assert "lie below the target sensitivity, or" in slices_line(found).answer
    point = found.threshold.operating_point.model_copy(update={"target_sensitivity": None, "policy": "cost"})
    threshold = found.threshold.model_copy(update={"operating_point": point})
    said = slices_line(found.model_copy(update={"threshold": threshold})).answer
    assert "lie below the interval of the overall sensitivity, or" in said
