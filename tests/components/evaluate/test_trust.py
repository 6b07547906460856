"""Before you trust this: each answer with the case that forces it red."""

import pytest

from components.common.artifacts.estimate import Estimate
from components.common.artifacts.ledger import Opening
from components.common.artifacts.lineage import GENERATED, NOTHING, Counts, Groups, Left, Lineage, NearDuplicates, Part
from components.common.artifacts.metrics import SliceRow
from components.evaluate.trust import questions

NAMES = ["target", "size", "groups", "lost", "twins", "calibration", "slices", "shortcuts", "openings", "external"]


def counts(malignant, benign, unlabelled=0):
    return Counts(images=malignant + benign + unlabelled, malignant=malignant, benign=benign, unlabelled=unlabelled)


def left(reason, given, **diagnoses):
    return Left(reason=reason, counts=given, diagnoses=diagnoses)


def lineage_of(*, known=True, patients=None, contradictions=0, generated=0, dropped=(), crossing=0):
    def part(malignant, benign):
        both = counts(malignant, benign)
        return Part(assigned=both, unusable=[], usable=both, lost_in_records=NOTHING)

    parts = {"train": part(100, 600), "val": part(50, 100), "test": part(50, 100)}
    gone = sum((one.counts for one in dropped), NOTHING)
    groups = Groups(
        known=known, joined_by=["lesion", "near-duplicate"], count=880, patients_across_splits=patients,
        contradictions=contradictions,
    )  # fmt: skip
    return Lineage(
        table=counts(200, 800) + gone, lesions=900, groups=groups, generated=generated,
        malignant_diagnoses=["mel"], dropped=list(dropped), undivided=NOTHING, parts=parts,
        near_duplicates=NearDuplicates(pairs=9, between_lesions=1, crossing=crossing), unread=[], read=counts(50, 100),
    )  # fmt: skip


def asked(metrics, lineage=None, same_split=True, openings=()):
    lines = questions(metrics, lineage or lineage_of(), same_split, openings)
    assert len(lines) == len(NAMES)
    return dict(zip(NAMES, lines, strict=True))


def estimate(value, lower, upper):
    return Estimate(value=value, lower=lower, upper=upper)


def test_the_questions_are_always_the_same(metrics):
    full, bare = questions(metrics, lineage_of(), True), questions(metrics, None, None)
    assert [(line.key, line.question) for line in full] == [(line.key, line.question) for line in bare]
    assert len({line.key for line in full}) == len(full) == 10
    assert "made from saved scores alone" in bare[2].answer


@pytest.mark.parametrize(
    ("found", "level", "said"),
    [
        (estimate(0.95, 0.91, 0.98), "green", "yes: target 0.90, sensitivity 0.950 (0.910 to 0.980)"),
        (estimate(0.95, 0.86, 0.98), "amber", "yes, but not with certainty: target 0.90"),
        (estimate(0.87, 0.80, 0.93), "red", "no: target 0.90"),
    ],
)
def test_the_target_is_met_or_not(metrics, found, level, said):
    line = asked(metrics.model_copy(update={"sensitivity": found}))["target"]
    assert line.level == level
    assert line.answer.startswith(said)


def without_target(metrics):
    point = metrics.threshold.operating_point.model_copy(update={"target_sensitivity": None, "policy": "cost"})
    return metrics.model_copy(update={"threshold": metrics.threshold.model_copy(update={"operating_point": point})})


def test_a_rule_without_target_says_so(metrics):
    line = asked(without_target(metrics))["target"]
    assert (line.level, "no target was set (rule cost)" in line.answer) == ("amber", True)


@pytest.mark.parametrize(("malignant", "level"), [(150, "green"), (60, "amber"), (12, "red")])
def test_few_malignant_lesions_are_said(metrics, malignant, level):
    lesion = metrics.lesion_level.model_copy(update={"malignant": malignant})
    line = asked(metrics.model_copy(update={"lesion_level": lesion}))["size"]
    assert line.level == level
    assert line.answer.startswith(f"{malignant} malignant lesions")


def test_images_of_unknown_lesions_are_not_called_lesions(metrics):
    answer = asked(metrics, lineage_of(known=False))["size"].answer
    assert answer.startswith(
        f"{metrics.lesion_level.malignant} malignant images of {metrics.n} in test, number of lesions unknown"
    )


@pytest.mark.parametrize(
    ("groups", "level", "said"),
    [
        ({"patients": 0}, "green", "yes: 880 groups (lesion, near-duplicate), none in two splits; no patient in two"),
        ({}, "amber", "lesions: yes, 880 groups (lesion, near-duplicate), none in two splits; patients: not known"),
        ({"patients": 7}, "red", "no: 7 patients have images in several splits"),
        ({"known": False}, "red", "not known: the table names neither lesions nor patients"),
    ],
)
def test_what_is_known_of_lesions_and_patients_is_said(metrics, groups, level, said):
    line = asked(metrics, lineage_of(**groups))["groups"]
    assert line.level == level
    assert line.answer.startswith(said)


def test_near_duplicates_with_different_labels_are_said(metrics):
    line = asked(metrics, lineage_of(contradictions=2))["twins"]
    assert (line.level, "2 pairs have different labels" in line.answer) == ("amber", True)


def test_a_bundle_that_names_no_split_is_red(metrics):
    line = asked(metrics, same_split=None)["groups"]
    assert (line.level, "may have seen test images" in line.answer) == ("red", True)


def test_a_dropped_malignant_diagnosis_is_named(metrics):
    assert asked(metrics)["lost"].level == "green"
    spelled = left("unknown_diagnosis", counts(0, 0, 60), melanoma=60)
    line = asked(metrics, lineage_of(dropped=[spelled]))["lost"]
    assert line.level == "red"
    assert "60 of 1,060 rows lost (0 malignant, 0 benign, 60 without a label)" in line.answer
    assert "diagnosis missing, or unknown to the label policy: 60 (melanoma 60)" in line.answer
    few = asked(metrics, lineage_of(dropped=[left("conflicting_diagnosis", counts(0, 3), nv=3)]))["lost"]
    assert few.level == "amber"
    uneven = asked(metrics, lineage_of(dropped=[left("conflicting_diagnosis", counts(9, 3), mel=9, nv=3)]))["lost"]
    assert uneven.level == "red"


def test_values_of_the_table_cannot_steer_a_terminal(metrics):
    spelled = left("unknown_diagnosis", counts(0, 0, 60), **{"mel\x1b[2J\nlesions: fine\u202e": 60})
    answer = asked(metrics, lineage_of(dropped=[spelled]))["lost"].answer
    assert answer.isprintable()
    assert "mel [2J lesions: fine  60" in answer


def test_what_the_label_policy_leaves_out_is_said_and_not_lost(metrics):
    line = asked(metrics, lineage_of(dropped=[left("excluded_diagnosis", counts(0, 0, 300), akiec=300)]))["lost"]
    assert line.level == "amber"
    assert "0 of 1,300 rows lost" in line.answer
    assert "left out by the label policy: 300 (akiec 300)" in line.answer


@pytest.mark.parametrize(("crossing", "level"), [(0, "green"), (1, "amber"), (2, "red")])
def test_near_duplicates_across_splits_are_counted(metrics, crossing, level):
    assert asked(metrics, lineage_of(crossing=crossing))["twins"].level == level


def test_calibration_beyond_chance_is_said(metrics):
    def line(**changed):
        calibration = metrics.calibration.model_copy(update=changed)
        return asked(metrics.model_copy(update={"calibration": calibration}))["calibration"]

    fine = {"slope": estimate(1.1, 0.9, 1.3), "ece": 0.01, "ece_null_95": 0.02}
    assert line(**fine).level == "green"
    assert line(**fine | {"ece": 0.03}).level == "amber"
    few = line(**fine | {"slope": estimate(0.6, -0.2, 4.6)})
    assert (few.level, few.answer.startswith("not known, too few images to tell")) == ("amber", True)
    bad = line(slope=estimate(0.5, 0.4, 0.6), ece=0.03, ece_null_95=0.02)
    assert bad.level == "red"
    assert "slope 0.500 (0.400 to 0.600), perfect is 1; calibration error 0.030, by chance up to 0.020" in bad.answer


def test_a_source_in_which_everything_is_predicted_malignant_is_named(metrics):
    everything = next(one for one in metrics.slices if one.slice == "source")
    zero = everything.specificity.model_copy(update={"value": 0.0, "lower": 0.0, "upper": 0.02})
    broken = everything.model_copy(update={"specificity": zero})
    rows = [broken if one is everything else one for one in metrics.slices]
    line = asked(metrics.model_copy(update={"slices": rows}))["slices"]
    assert line.level == "red"
    benign = everything.n - everything.malignant
    assert f"acquisition source {everything.value}: specificity 0.00, 0 of {benign} benign images" in line.answer


def test_a_table_without_columns_to_slice_by_is_said(metrics):
    bare = [one for one in metrics.slices if one.slice == "images per lesion"]
    assert asked(metrics.model_copy(update={"slices": bare}))["slices"].level == "amber"
    nothing = [one.model_copy(update={"value": "unknown"}) for one in metrics.slices]
    line = asked(metrics.model_copy(update={"slices": nothing}))["slices"]
    assert (line.level, line.answer[:9]) == ("amber", "not known")


def test_groups_that_are_all_too_small_do_not_count_as_good_news(metrics):
    sensitivity = estimate(0.5, 0.0, 1.0).model_dump() | {"status": "insufficient"}
    small = [SliceRow.model_validate(one.model_dump() | {"sensitivity": sensitivity}) for one in metrics.slices]
    line = asked(metrics.model_copy(update={"slices": small}))["slices"]
    assert line.level == "amber"
    assert line.answer.startswith("not known: none of ")


def test_a_model_hardly_better_than_the_table_is_red(metrics):
    alone = metrics.shortcuts.alone["source"].model_copy(update={"value": 0.96, "lower": 0.94, "upper": 0.98})
    shortcuts = metrics.shortcuts.model_copy(update={"alone": {"source": alone}})
    line = asked(metrics.model_copy(update={"shortcuts": shortcuts}))["shortcuts"]
    assert line.level == "red"
    assert line.answer.startswith("0.960 (0.940 to 0.980) from the acquisition source; the model has 0.9")
    none = metrics.shortcuts.model_copy(update={"alone": {}})
    assert asked(metrics.model_copy(update={"shortcuts": none}))["shortcuts"].level == "amber"


@pytest.mark.parametrize(
    ("bundles", "level", "said"),
    [
        ("", "amber", "not known: no ledger was kept"),
        ("a", "green", "once, by this bundle only"),
        ("aaa", "green", "3 times, by this bundle only"),
        ("abab", "amber", "4 times, by 2 bundles (aaaaaaaaaaaa, bbbbbbbbbbbb): the best of several looks better"),
        ("abcda", "red", "5 times, by 4 bundles (aaaaaaaaaaaa, bbbbbbbbbbbb, cccccccccccc, dddddddddddd): the best"),
        ("abcdef", "red", "6 times, by 6 bundles (aaaaaaaaaaaa, bbbbbbbbbbbb, cccccccccccc, dddddddddddd and others)"),
    ],
)
def test_a_test_set_that_several_bundles_have_opened_is_said(metrics, bundles, level, said):
    openings = [Opening(split="s", bundle=one * 64, commit="c", time="2026-11-28T08:00:00Z") for one in bundles]
    line = asked(metrics, openings=openings)["openings"]
    assert line.level == level
    assert line.answer.startswith(said)


def test_generated_data_are_announced_and_photographs_are_not():
    assert lineage_of().notice == ""
    assert "Generated data: 1,000 of 1,000 images were drawn by a program" in lineage_of(generated=1000).notice


def test_the_sources_of_lesionflow_sample_are_known_as_generated(tmp_path):
    from pipelines.sample.population import population  # the names live above the steps

    assert all(lesion.source.startswith(GENERATED) for lesion in population(30, 0))
