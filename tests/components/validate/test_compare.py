"""There and here: diagnoses under common names, the verdict on the promise, labels that mean something else."""

import re
from dataclasses import replace

import numpy as np
import pytest

from components.validate.compare import Place, common_names, compare, labelling, verdict


def diagnoses(scores, benign="nv"):
    return np.where(scores.label == 1, "mel", benign)


def test_diagnoses_have_the_codes_of_the_label_policy_whatever_the_table_calls_them():
    names = {"mel": ["melanoma"], "nv": ["nevus", "melanocytic nevus"]}
    written = ["Melanoma", " MEL ", "Benign::Melanocytic  nevus", "wart", ""]
    assert common_names(written, names).tolist() == ["mel", "mel", "nv", "wart", ""]


def test_every_figure_has_its_difference_and_the_same_with_the_mix_there(sim, policy_at):
    here, there = sim(120, 1), sim(160, 2)
    places = Place(here, diagnoses(here)), Place(there, diagnoses(there))
    figures, mix = compare(*places, policy_at(), 200, 0)
    assert [one.name for one in figures][:3] == ["roc_auc", "sensitivity", "specificity"]
    for one in figures:
        assert one.difference.value == pytest.approx(one.here.value - one.there.value)
        assert one.difference.lower < one.difference.value < one.difference.upper
    assert mix.represented == 1
    # with two diagnoses the weights change the prevalence, and with it nothing within a class
    assert figures[1].standardised.value == pytest.approx(figures[1].here.value)


def test_without_the_internal_test_only_here_is_known(sim, policy_at):
    here = sim(60, 1)
    figures, mix = compare(Place(here, None), None, policy_at(), 200, 0)
    assert mix is None
    assert all(one.there is None and one.difference is None and one.standardised is None for one in figures)
    assert all(one.here.value is not None for one in figures)


def test_without_diagnoses_on_one_side_nothing_is_standardised(sim, policy_at):
    here, there = sim(60, 1), sim(60, 2)
    blank = np.full(len(here), "unknown")
    figures, mix = compare(Place(here, blank), Place(there, diagnoses(there)), policy_at(), 200, 0)
    assert mix is None
    assert all(one.difference is not None and one.standardised is None for one in figures)


@pytest.mark.parametrize(
    ("threshold", "lesions", "said"),
    [
        (-50.0, 400, r"promised sensitivity of 0\.90 holds here: (\d+) of \1 malignant lesions found, with 95 %"),
        (50.0, 400, r"does not hold here: 0 of \d+ malignant lesions found, with 95 % confidence at most 0\.0\d"),
        (-50.0, 60, r"^\d+ malignant lesions are too few to tell .*: \d+ more would decide it, if found at the same"),
    ],
)
def test_the_answer_is_plain(threshold, lesions, said, sim, policy_at):
    told = verdict(sim(lesions, 3), policy_at(threshold), "lesions")
    assert re.search(said, told.sentence), told.sentence


def test_the_answer_says_what_the_promise_costs(sim, policy_at):
    scores = sim(400, 3)
    benign = int((scores.label == 0).sum())
    assert verdict(scores, policy_at(-50.0), "lesions").sentence.endswith(f"; 0 of {benign} benign images cleared")


def test_several_images_of_a_lesion_count_once(sim, policy_at):
    scores = sim(200, 4)
    told = verdict(scores, policy_at(-50.0), "lesions")
    assert told.of == len(np.unique(scores.group_id[scores.label == 1]))


def test_a_policy_without_a_target_promises_nothing(sim, policy_at):
    told = verdict(sim(60, 1), policy_at(point={"policy": "youden", "target_sensitivity": None}), "lesions")
    assert told.answer == "nothing promised"
    assert told.sentence.startswith("The policy promises no sensitivity (rule youden); here ")


def test_diagnoses_that_mean_something_else_are_named(sim):
    here = sim(60, 1)
    dx = diagnoses(here, benign="akiec")
    said = labelling("other", Place(here, dx), {"akiec": 1, "nv": 0})
    assert said.unlike == ["akiec: benign here, malignant in training"]
    assert said.unknown == {"mel": int((dx == "mel").sum())}
    assert labelling("other", replace(Place(here, dx), diagnosis=None), {"mel": 1}).unlike == []


def test_a_refused_image_goes_to_a_person_and_is_neither_missed_nor_cleared(sim, policy_at):
    scores = sim(120, 1)
    policy = policy_at(float(scores.logit.max()) + 1)  # predicts everything benign
    none = verdict(scores, policy, "lesions")
    sent = replace(scores, distance=np.ones(len(scores)), refused=np.ones(len(scores), bool))
    told = verdict(sent, policy, "lesions")
    assert (none.found, told.found) == (0, told.of)
    assert f"{told.of} of those found were refused as not dermoscopic" in told.sentence
    assert told.sentence.endswith(f"; 0 of {(scores.label == 0).sum()} benign images cleared")
    figures, _ = compare(Place(sent, diagnoses(sent)), None, policy, 200, 0)
    assert {one.name: one.here.value for one in figures}["specificity"] == 0
