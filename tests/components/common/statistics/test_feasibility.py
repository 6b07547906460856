from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from components.common.statistics.feasibility import Demands, ValGroups, feasibility

ASKED = Demands(folds=5, operating_point="lower_bound", target_sensitivity=0.90, delta=0.05, abstain_alpha=0.0)


def test_enough_groups_are_no_problem():
    assert feasibility(ValGroups(groups=120, malignant=29, benign=91, malignant_everywhere=195), ASKED) == []


def test_too_few_malignant_groups_for_the_bound_are_named_with_every_way_out():
    (line,) = feasibility(ValGroups(120, 28, 92, 190, 0.15, 0.15), ASKED)
    assert line == (
        "operating_point=lower_bound cannot promise a sensitivity of 0.9 at delta 0.05 with fewer than 29 malignant "
        "groups in val: it has 28 of 190; ways out: split.val_share=0.17, or target_sensitivity=0.89, or "
        "operating_point=point (no guarantee), or more malignant lesions in the table"
    )


def test_too_few_for_folds_and_bound_are_two_lines():
    folds, bound = feasibility(ValGroups(30, 3, 27, 20, 0.15, 0.15), ASKED)
    assert folds.startswith("calibration cross-fits over 5 folds (calibrate.folds) and needs as many groups of each")
    assert "val has 3 malignant and 27 benign ones; ways out: split.val_share=0.27, or calibrate.folds=3, or" in folds
    assert "target_sensitivity" not in bound.split("ways out")[1]  # 0.36 is not worth proposing
    assert "operating_point=point" in bound


def test_a_share_of_val_is_proposed_only_where_the_recipe_has_one_and_train_stays_large():
    for val in (ValGroups(30, 20, 10, 130), ValGroups(30, 20, 10, 60, 0.15, 0.15)):
        (line,) = feasibility(val, ASKED)
        assert "val_share" not in line


def test_the_abstain_band_needs_groups_of_both_classes():
    val = ValGroups(groups=110, malignant=10, benign=100, malignant_everywhere=70)
    (line,) = feasibility(val, replace(ASKED, operating_point="youden", abstain_alpha=0.05))
    assert "calibrate.abstain_alpha=0.05 needs 19 groups of each class in val: it has 10 with a malignant" in line
    assert "ways out: calibrate.abstain_alpha=0.091, or calibrate.abstain_alpha=0, or" in line


def test_benign_groups_for_the_folds_are_those_without_a_malignant_image():
    (line,) = feasibility(ValGroups(groups=40, malignant=37, benign=39, malignant_everywhere=200), ASKED)
    assert "val has 37 malignant and 3 benign ones; ways out: calibrate.folds=3, or" in line


@settings(max_examples=300, deadline=None)
@given(
    st.integers(0, 60),
    st.integers(0, 60),
    st.integers(2, 8),
    st.sampled_from(["lower_bound", "point", "cost"]),
    st.sampled_from([0.8, 0.9, 0.95]),
    st.sampled_from([0.0, 0.05, 0.1]),
)
def test_the_ways_out_work(malignant, benign, folds, point, target, alpha):
    val = ValGroups(malignant + benign, malignant, benign, 5 * malignant)
    asked = Demands(folds, point, target, 0.05, alpha)
    for line in feasibility(val, asked):
        for way in line.split("ways out: ")[1].split(", or ")[:-1]:
            name, _, value = way.split(" ")[0].partition("=")
            name = name.rpartition(".")[2]
            given = {"folds": int, "target_sensitivity": float, "abstain_alpha": float, "operating_point": str}[name]
            assert len(feasibility(val, replace(asked, **{name: given(value)}))) < len(feasibility(val, asked)), way


def test_demands_are_read_from_the_parameters_of_calibrate():
    config = {"folds": 5.0, "operating_point": "lower_bound", "target_sensitivity": 0.9, "delta": 0.05, "seed": 1.0}
    assert Demands.of({**config, "abstain_alpha": 0.0}) == ASKED
