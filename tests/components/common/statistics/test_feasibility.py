from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.common.statistics.feasibility import (
    LEAST_TARGET,
    Demands,
    GateBound,
    GroupCounts,
    SplitCounts,
    changes_that_work,
    feasibility,
    malignant_groups_wanted,
)
from components.common.statistics.intervals import proportion

ASKED = Demands(folds=5, operating_point="lower_bound", target_sensitivity=0.90, delta=0.05, abstain_alpha=0.0)
SENSITIVITY = GateBound("sensitivity.lower >= 0.95", "sensitivity", "lower", 0.95)


def counted(val_malignant, val_benign=200, train=(700, 300), test=(60, 200)):
    """A split whose groups hold one label each."""
    (m, b), (tm, tb) = train, test
    return SplitCounts(
        GroupCounts(m + b, m, b), GroupCounts(val_malignant + val_benign, val_malignant, val_benign),
        GroupCounts(tm + tb, tm, tb),
    )  # fmt: skip


def lines(counts, asked):
    return [one.line for one in feasibility(counts, asked)]


def test_enough_groups_are_no_problem():
    assert feasibility(counted(29), ASKED) == []


def test_too_few_malignant_groups_for_the_bound_are_named_with_a_lower_target_and_the_rule_without_guarantee():
    counts = counted(28)
    (line,) = lines(counts, ASKED)
    assert line == (
        "operating_point=lower_bound cannot guarantee a sensitivity of 0.9 at delta 0.05 with fewer than 29 malignant "
        "groups in val: it has 28 of 788"
    )
    assert list(changes_that_work(counts, ASKED)) == [{"target_sensitivity": 0.89}, {"operating_point": "point"}]


def test_a_change_solves_all_problems_at_once():
    counts = counted(4, train=(6, 300))
    asked = replace(ASKED, abstain_alpha=0.05, train_folds=8)
    assert len(feasibility(counts, asked)) == 4
    assert list(changes_that_work(counts, asked)) == [
        {"calibrate.folds": 4, "operating_point": "point", "calibrate.abstain_alpha": 0, "train.folds": 6}
    ]


def test_a_target_below_what_a_patient_could_accept_is_never_proposed():
    for have in range(1, 29):
        for change in changes_that_work(counted(have), replace(ASKED, folds=2)):
            assert change.get("target_sensitivity", 1) >= LEAST_TARGET == 0.80
    assert {"target_sensitivity": 0.8} in changes_that_work(counted(14), ASKED)
    assert list(changes_that_work(counted(13), ASKED)) == [{"operating_point": "point"}]


def test_a_condition_that_even_a_perfect_model_misses_is_a_problem():
    """The interval of the gate itself is what is compared with."""
    assert proportion(1.0, np.ones(9), 60).lower == pytest.approx(0.9404, abs=1e-4)
    asked = replace(ASKED, gate=(SENSITIVITY, GateBound("ap >= 0.6", "average_precision", "value", 0.6)))
    (line,) = lines(counted(40), asked)
    assert line == (
        "release condition 'sensitivity.lower >= 0.95': with the 60 malignant groups in test even a model without an "
        "error has a lower bound of 0.940; 72 groups would be enough"
    )
    assert list(changes_that_work(counted(40), asked)) == [{"gate_conditions": ["ap >= 0.6"]}]
    assert feasibility(counted(40, test=(72, 100)), asked) == []
    assert feasibility(counted(40, test=(71, 100)), asked) != []
    specificity = GateBound("specificity.lower >= 0.99", "specificity", "lower", 0.99)
    assert "200 benign groups" in lines(counted(40), replace(asked, gate=(specificity,)))[0]


def test_two_conditions_out_of_reach_are_both_left_out():
    kept = GateBound("auc.lower >= 0.8", "roc_auc", "lower", 0.8)
    asked = replace(
        ASKED, gate=(SENSITIVITY, kept, replace(SENSITIVITY, text="ppv.lower >= 0.96", figure="ppv", least=0.96))
    )
    assert list(changes_that_work(counted(40), asked)) == [{"gate_conditions": ["auc.lower >= 0.8"]}]


def test_a_condition_without_an_interval_is_a_problem():
    gate = (GateBound("auc.lower >= 0.8", "roc_auc", "lower", 0.8),)
    (line,) = lines(counted(40, test=(1, 50)), replace(ASKED, gate=gate))
    assert "an interval needs 2 groups of each class, test has 1 with a malignant and 50 with a benign image" in line


def test_members_need_a_group_of_each_class_in_every_fold():
    (line,) = lines(counted(40, train=(4, 300)), replace(ASKED, train_folds=5))
    assert line.startswith("train.folds=5 cuts the training images into folds that each need groups of both classes")
    assert line.endswith("train has 4 malignant and 300 benign ones")
    assert list(changes_that_work(counted(40, train=(4, 300)), replace(ASKED, train_folds=5, train_fold=4))) == []


def test_the_abstain_band_is_widened_a_little_or_left_out():
    counts = counted(12)
    asked = replace(ASKED, operating_point="youden", abstain_alpha=0.05)
    (line,) = lines(counts, asked)
    assert "calibrate.abstain_alpha=0.05 needs 19 groups of each class in val: it has 12 with a malignant" in line
    assert list(changes_that_work(counts, asked)) == [{"calibrate.abstain_alpha": 0.077}]
    assert list(changes_that_work(counted(8), asked)) == [{"calibrate.abstain_alpha": 0}]  # 0.112 refers too few


def test_benign_groups_for_the_folds_are_those_without_a_malignant_image():
    counts = replace(counted(37), val=GroupCounts(groups=40, malignant=37, benign=39))
    (line,) = lines(counts, ASKED)
    assert line.endswith("val has 37 malignant and 3 benign ones")
    assert list(changes_that_work(counts, ASKED)) == [{"calibrate.folds": 3}]


def test_the_lesions_that_would_do_are_those_of_the_worst_problem():
    counts = counted(20, train=(140, 300), test=(40, 200))
    problems = feasibility(counts, replace(ASKED, gate=(SENSITIVITY,)))
    assert malignant_groups_wanted(counts, problems) == 379  # 72 of 40 in test; val alone would want 305
    assert malignant_groups_wanted(counted(0), feasibility(counted(0), ASKED)) == 0


@settings(max_examples=300, deadline=None)
@given(
    st.integers(0, 60),
    st.integers(0, 60),
    st.integers(2, 8),
    st.sampled_from(["lower_bound", "point", "cost"]),
    st.sampled_from([0.8, 0.9, 0.95]),
    st.sampled_from([0.0, 0.05, 0.1]),
    st.integers(0, 9),
)
def test_every_change_leaves_nothing_to_refuse(malignant, benign, folds, point, target, alpha, members):
    counts = counted(malignant, benign, train=(malignant, benign), test=(malignant, benign))
    asked = Demands(folds, point, target, 0.05, alpha, train_folds=members, gate=(SENSITIVITY,))
    for change in changes_that_work(counts, asked):
        assert feasibility(counts, asked.changed(change)) == []


def test_demands_are_read_from_json_whose_numbers_are_floats():
    asked = replace(ASKED, gate=(SENSITIVITY,), train_folds=3)
    sent = {**asdict(asked), "folds": 5.0, "train_folds": 3.0, "gate": [asdict(SENSITIVITY)]}
    assert Demands.of(sent) == asked
