"""The two comparisons behind the step: bundle against model, training images against original bytes."""

from dataclasses import replace

import numpy as np
import pytest

from components.common.artifacts.policy import Calibrator, DecisionPolicy
from components.common.artifacts.scores import Scores
from components.common.runtime.errors import ArtifactError, DataError
from components.export.config import ExportConfig
from components.export.parity import (
    Compared,
    Source,
    compare,
    expected_decisions,
    parity_report,
    preparation_report,
    validation_sources,
)

RULE = DecisionPolicy(Calibrator("none"), 0.5, 0.62, {}, {}, 0.2, "m", "v")
KERAS = np.array([-2.0, 0.4, 0.6, 3.0])
PIXELS = np.zeros((4, 2, 3, 3), np.uint8)
NOWHERE = np.full(4, -1.0, np.float32)


def answers(ids, bundle_logit, decision, *, status="ok", probability=None, distances=(NOWHERE, NOWHERE)):
    """Both sides' answers; -1 for distances that are not measured."""
    return Compared(
        image_id=np.array(list(ids)),
        keras_logit=KERAS,
        plain_logit=KERAS,
        bundle_logit=bundle_logit,
        bundle_probability=RULE.probability(bundle_logit) if probability is None else np.asarray(probability),
        bundle_decision=decision,
        bundle_status=np.full(4, status) if isinstance(status, str) else np.array(status),
        keras_distance=np.asarray(distances[0], np.float32),
        bundle_distance=np.asarray(distances[1], np.float32),
        pixels=PIXELS,
    )


def compared(bundle_logit, decision=None):
    bundle_logit = np.asarray(bundle_logit, np.float64)
    decided = RULE.decide(bundle_logit).astype(np.int64) if decision is None else np.asarray(decision)
    return answers("abcd", bundle_logit, decided)


def scores(logit):
    ids = np.array(list("abcde"))
    logit = np.asarray(logit, np.float64)
    return Scores(ids, ids, ids, np.array([0, 1, 0, 1, 0], np.int8), logit, 1 / (1 + np.exp(-logit)))


def test_equal_answers_pass_and_give_their_largest_difference():
    report = parity_report(compared(KERAS + np.array([0, 1e-6, 0, 0])), RULE, ExportConfig())
    assert report.images == 4
    assert 2e-7 < report.max_probability_difference < 3e-7
    assert report.changed_decisions == 0


def test_a_difference_in_probability_is_refused_with_image_and_numbers():
    with pytest.raises(ArtifactError, match=r"4 images: .*0\.0024 \(image b, allowed 1e-05\), 0 changed"):
        parity_report(compared(KERAS + np.array([0, 0.01, 0, 0])), RULE, ExportConfig())


def test_a_changed_decision_is_refused_however_small_the_difference():
    with pytest.raises(ArtifactError, match="1 changed decisions"):
        parity_report(compared(KERAS, [0, 1, 1, 1]), RULE, ExportConfig())


def test_nan_does_not_pass():
    with pytest.raises(ArtifactError, match="disagree"):
        parity_report(compared([np.nan, *KERAS[1:]], [0, 0, 1, 1]), RULE, ExportConfig())


def test_preparation_is_measured_on_the_images_both_know():
    recorded = scores([*(KERAS + np.array([0.1, 0.2, -0.2, 0.1])), 9])
    report = preparation_report(compared(KERAS), recorded, RULE, ExportConfig(max_changed_decisions=0.5))
    assert report.images == 4
    assert report.mean_absolute_logit_shift == pytest.approx(0.15)
    assert report.max_absolute_logit_shift == pytest.approx(0.2)
    assert report.changed_decisions == 2  # b and c cross the threshold of 0.5


@pytest.mark.parametrize(
    "change", [{"max_logit_shift": 0.1, "max_changed_decisions": 1}, {"max_changed_decisions": 0.1}]
)
def test_preparation_out_of_its_bounds_is_refused(change):
    with pytest.raises(ArtifactError, match="differ too much from those used in training"):
        preparation_report(compared(KERAS), scores([*(KERAS + 0.15), 9]), RULE, ExportConfig(**change))


def test_scores_of_other_images_are_refused():
    other = answers("wxyz", KERAS, np.array([0, 0, 1, 1]))
    with pytest.raises(ArtifactError, match="give the split that the model was trained on"):
        preparation_report(other, scores([*KERAS, 9]), RULE, ExportConfig())


def test_abstain_band_counts_as_a_decision_of_its_own():
    rule = DecisionPolicy(Calibrator("none"), 0.5, 0.62, {}, {}, 0.2, "m", "v", {"low": 0.5, "high": 0.63})
    assert expected_decisions(rule, KERAS).tolist() == [0, 2, 1, 1]


def test_sources_are_the_readable_validation_images_evenly_spread(export_inputs):
    everything = validation_sources(export_inputs.split, 500)
    assert [s.image_id for s in everything] == sorted(export_inputs.files)
    few = validation_sources(export_inputs.split, 3)
    assert [s.image_id for s in few] == ["IMG_000", "IMG_012", "IMG_023"]


def test_an_image_that_ingest_accepted_and_the_bundle_refuses_fails_the_step(bundle):
    with pytest.raises(ArtifactError, match=r"x\.jpg: ingest accepted this image, the bundle says 'not_an_image'"):
        compare([Source("x", "x.jpg")], lambda x: (np.zeros(len(x)),) * 3, bundle, read=lambda uri: b"text")


def test_a_validation_image_that_was_swapped_since_ingest_fails_the_step(export_inputs, bundle):
    one, other = validation_sources(export_inputs.split, 2)
    swapped = replace(one, uri=other.uri)
    with pytest.raises(DataError, match=r"^image .*: its sha256 begins \w+, ingest saw \w+: .* swapped since"):
        compare([swapped], lambda x: (np.zeros(len(x)),) * 3, bundle)


NEAR = np.array([0.9, 1.0, 1.1, 2.5], np.float32)
REFUSED = ["ok", "ok", "ok", "not_dermoscopy"]


def refusing(status=REFUSED, bundle_distance=NEAR):
    p, decision = RULE.probability(KERAS), RULE.decide(KERAS).astype(np.int64)
    far = np.array([one == "not_dermoscopy" for one in status])
    return answers(
        "abcd",
        KERAS,
        np.where(far, 2, decision),
        status=status,
        probability=np.where(far, -1.0, p),
        distances=(NEAR, bundle_distance),
    )


def test_a_refused_image_has_no_probability_and_is_compared_by_its_logit():
    report = parity_report(refusing(), RULE, ExportConfig(), limit=2.0)
    assert report.refused == 1
    assert report.changed_refusals == report.changed_decisions == 0
    assert report.max_probability_difference == 0


@pytest.mark.parametrize("limit", [1.05, 3.0, None])
def test_an_image_refused_on_one_side_only_fails_the_step(limit):
    with pytest.raises(ArtifactError, match=r"what is a dermoscopic image: 1 of 4 images are refused on one side only"):
        parity_report(refusing(), RULE, ExportConfig(), limit=limit)


def test_another_distance_fails_the_step_even_where_it_changes_no_decision():
    with pytest.raises(ArtifactError, match=r"distances differ by up to 0\.2"):
        parity_report(refusing(bundle_distance=NEAR + np.float32([0.2, 0, 0, 0])), RULE, ExportConfig(), limit=2.0)


def test_within_rounding_of_the_limit_an_image_may_be_refused_or_not():
    report = parity_report(refusing(), RULE, ExportConfig(), limit=2.5001)
    assert report.changed_refusals == 0
