import re

import pytest

from components.common.artifacts.estimate import Difference, Estimate
from components.common.artifacts.metrics import ChampionComparison
from components.common.runtime.errors import ConfigError
from components.evaluate.config import EvaluateConfig
from components.evaluate.gate import check, parse_condition


def estimate(value, lower=None, upper=None):
    return Estimate(value=value, lower=lower, upper=upper)


@pytest.fixture(scope="module")
def judged(metrics):
    difference = Difference(value=0.01, lower=-0.02, upper=0.04, share_of_resamples_better=0.7)
    champion = ChampionComparison(
        auc_champion=estimate(0.87), auc_difference=difference, ap_champion=estimate(0.6), ap_difference=difference
    )
    slope = {"slope": estimate(1.1, 0.9, 1.3), "ece": 0.015}
    return metrics.model_copy(
        update={
            "roc_auc": estimate(0.88, 0.86, 0.90),
            "average_precision": estimate(0.64, 0.58, 0.70),
            "sensitivity": estimate(0.92, 0.88, 0.95),
            "sensitivity_at_specificity_90": estimate(0.7, 0.6, 0.8),
            "ppv": estimate(None),
            "prevalence": 0.2,
            "calibration": metrics.calibration.model_copy(update=slope),
            "champion": champion,
        }
    )


@pytest.mark.parametrize(
    ("text", "received", "passed"),
    [
        ("ap.lower >= 0.60", 0.58, False),
        ("average_precision.value > 0.60", 0.64, True),
        ("auc >= 0.88", 0.88, True),
        ("calibration_slope in [0.8, 1.2]", 1.1, True),
        ("calibration.slope.upper in [0.8, 1.2]", 1.3, False),
        ("sensitivity.lower >= 0.85", 0.88, True),
        ("sensitivity_at_specificity_0.90.lower>=.5", 0.6, True),
        ("ece <= 2e-2", 0.015, True),
        ("prevalence < 0.5", 0.2, True),
        ("champion.auc_difference.lower >= -0.01", -0.02, False),
        ("lesion_sensitivity >= 2", ..., False),
        ("ppv >= 0.1", None, False),
        ("prevalence.lower >= 0.1", None, False),
    ],
)
def test_conditions_are_held_against_their_numbers(judged, text, received, passed):
    (verdict,) = check([text], judged)
    expected = judged.lesion_level.sensitivity.value if received is ... else received
    assert (verdict.condition, verdict.received, verdict.passed) == (text, expected, passed)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ap.lower >= 60", "average_precision lies between 0 and 1; write 0.85 for 85 %"),
        ("sensitivity > 1", "sensitivity lies between 0 and 1"),
        ("lesion_auc in [70, 90]", "lesion_level.roc_auc lies between 0 and 1"),
        ("specificity < 0", "specificity lies between 0 and 1"),
        ("ece.upper <= 0.1", "calibration.ece has no interval; write it without .upper"),
    ],
)
def test_a_condition_that_no_evaluation_can_meet_is_refused_as_a_parameter(text, said):
    with pytest.raises(ConfigError, match=re.escape(said)):
        EvaluateConfig.parse({"gate": [text]})
    EvaluateConfig.parse({"gate": ["number_needed_to_biopsy <= 8", "auc in [0.5, 1.0]", "calibration_slope <= 1.2"]})


def test_a_condition_on_a_champion_that_is_not_there_is_missed(metrics):
    (verdict,) = check(["champion.ap_difference >= 0"], metrics)
    assert (verdict.received, verdict.passed) == (None, False)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ap.lower => 0.6", "is not readable; write 'ap.lower >= 0.60'"),
        ("ap.lower >= high", "is not readable"),
        ("accurracy >= 0.6", "'accurracy' is not a metric; known are"),
        ("slope in [1.2, 0.8]", "write the smaller number first"),
        ("", "is not readable"),
    ],
)
def test_an_unreadable_condition_is_refused_with_an_example(text, said):
    with pytest.raises(ValueError, match="gate condition") as error:
        parse_condition(text)
    assert said in str(error.value)


def test_conditions_are_checked_before_anything_runs():
    with pytest.raises(ConfigError, match="'f1' is not a metric"):
        EvaluateConfig.parse({"gate": ["f1 >= 0.5"]})
    with pytest.raises(ConfigError, match="without a champion"):
        EvaluateConfig.parse({"gate": ["champion.auc_difference.lower >= 0"]})
    assert EvaluateConfig.parse({"gate": "ap >= 0.1; auc >= 0.2;"}).gate == ["ap >= 0.1", "auc >= 0.2"]
