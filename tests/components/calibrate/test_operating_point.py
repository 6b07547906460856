import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from components.calibrate.config import CalibrateConfig
from components.calibrate.operating_point import choose, clopper_pearson_lower, logit_at
from components.common.artifacts.policy import Calibrator
from components.common.artifacts.scores import Scores
from components.common.runtime.errors import DataError
from components.common.statistics.feasibility import groups_needed
from components.common.statistics.numeric import sigmoid

NONE = Calibrator("none")


def config(**values):
    return CalibrateConfig.parse(values)


@given(n=st.integers(1, 300), share=st.floats(0, 1), delta=st.sampled_from([0.01, 0.05, 0.2]))
@settings(max_examples=60, deadline=None)
def test_the_bound_is_scipys_one_sided_clopper_pearson(n, share, delta):
    k = round(share * n)
    expected = binomtest(k, n, alternative="greater").proportion_ci(1 - delta, method="exact").low
    assert float(clopper_pearson_lower(k, n, delta)) == pytest.approx(expected, abs=1e-9)


def test_methods_number_with_175_lesions():
    reach = [k for k in range(176) if clopper_pearson_lower(k, 175, 0.05) >= 0.90]
    assert reach[0] / 175 == pytest.approx(0.943, abs=5e-4)


@pytest.mark.parametrize(("target", "delta", "needed"), [(0.90, 0.05, 29), (0.95, 0.05, 59), (0.80, 0.10, 11)])
def test_groups_needed_is_the_fewest_that_can_reach_the_target(target, delta, needed):
    assert groups_needed(target, delta) == needed
    assert clopper_pearson_lower(needed, needed, delta) >= target
    assert clopper_pearson_lower(needed - 1, needed - 1, delta) < target


def test_too_few_malignant_lesions_says_how_many_are_needed(sim):
    with pytest.raises(DataError, match=r"validation has \d+ malignant lesion groups, expected at least 29"):
        choose(config(), sim(60, 0), NONE)


def test_point_is_the_highest_threshold_that_reaches_the_target(sim):
    scores = sim(400, 1)
    found = choose(config(operating_point="point"), scores, NONE)
    malignant = scores.logit[scores.label == 1]
    assert np.mean(malignant >= found.threshold_logit) >= 0.90
    higher = malignant[malignant >= found.threshold_logit].min()
    assert np.mean(malignant > higher) < 0.90
    assert found.guarantee.startswith("none")
    assert 0.2 < found.chance < 0.8


def test_lower_bound_is_stricter_than_point_and_its_chance_is_measured(sim):
    scores = sim(700, 2)
    point, bound = (choose(config(operating_point=k), scores, NONE) for k in ("point", "lower_bound"))
    assert bound.threshold_logit <= point.threshold_logit
    assert bound.sensitivity_lower >= 0.90
    assert bound.chance >= 0.9 > point.chance


def test_cost_puts_the_threshold_where_the_costs_say(sim):
    scores = sim(300, 3)
    calibrator = Calibrator("platt", 1.0, {"a": 0.7, "b": -0.2})
    found = choose(config(operating_point="cost", cost_ratio=19), scores, calibrator)
    assert calibrator.probability(np.array(found.threshold_logit)) == pytest.approx(0.05, abs=1e-9)


def test_a_cost_threshold_that_isotonic_never_reaches_is_refused(sim):
    calibrator = Calibrator("isotonic", 0.0, {"x": [-1.0, 1.0], "y": [0.2, 0.6]})
    with pytest.raises(DataError, match=r"0.1 is outside what the isotonic calibrator gives, 0.2 to 0.6"):
        choose(config(operating_point="cost", cost_ratio=9), sim(100, 0), calibrator)


def test_logit_at_finds_the_edge_of_a_step():
    calibrator = Calibrator("isotonic", 0.0, {"x": [-1.0, 0.0, 0.5, 2.0], "y": [0.1, 0.1, 0.4, 0.4]})
    at = logit_at(calibrator, 0.4, np.array([-1.0, 2.0]))
    assert at == pytest.approx(0.5, abs=1e-9)


def test_youden_is_the_best_sum(sim):
    scores = sim(300, 4)
    found = choose(config(operating_point="youden"), scores, NONE)
    sums = [
        np.mean(scores.logit[scores.label == 1] >= t) + np.mean(scores.logit[scores.label == 0] < t)
        for t in np.unique(scores.logit)
    ]
    assert found.sensitivity + found.specificity == pytest.approx(max(sums), abs=1e-12)


@pytest.mark.parametrize("policy", ["lower_bound", "point", "youden"])
def test_the_threshold_is_a_float32_between_two_scores(sim, policy):
    scores = sim(500, 5)
    t = choose(config(operating_point=policy), scores, NONE).threshold_logit
    assert float(np.float32(t)) == t
    assert t not in scores.logit
    nudged = scores.logit + 1e-6  # another runtime's rounding decides alike
    assert ((nudged >= t) == (scores.logit >= t)).all()


def test_ties_and_one_score_only(sim):
    scores = sim(400, 6)
    flat = Scores(**{**{k: getattr(scores, k) for k in scores.__dataclass_fields__}, "logit": np.zeros(len(scores))})
    found = choose(config(), flat, NONE)
    assert found.sensitivity == 1.0
    assert found.specificity == 0.0


def draw(rng, lesions, informative):
    """Malignant lesions with one to six images; optionally those with many images are harder."""
    images = rng.integers(1, 7, lesions)
    centre = rng.normal(1.5, 1.0, lesions) - (0.15 * images if informative else 0)
    lesion = np.repeat(np.arange(lesions), images)
    return lesion, centre[lesion] + rng.normal(0, 0.6, len(lesion))


@pytest.mark.parametrize("informative", [False, True])
def test_lower_bound_keeps_its_promise_on_clustered_lesions_and_point_does_not(informative):
    rng = np.random.default_rng(11)
    _, large = draw(rng, 60_000, informative)  # what a very large test set would show
    kept = {"lower_bound": [], "point": []}
    for _ in range(300):
        lesion, logit = draw(rng, 175, informative)
        benign = rng.normal(-1.5, 1.2, 400)
        names = np.array([f"m{k}" for k in lesion] + [f"b{k}" for k in range(400)])
        ids = np.array([f"i{k}" for k in range(len(names))])
        score = np.r_[logit, benign]
        label = np.r_[np.ones(len(logit)), np.zeros(400)].astype(np.int8)
        scores = Scores(ids, names, names, label, score, sigmoid(score))
        for policy, reached in kept.items():
            reached.append(np.mean(large >= _threshold(policy, scores)) >= 0.90)
    assert np.mean(kept["lower_bound"]) >= 0.95
    assert 0.3 < np.mean(kept["point"]) < 0.7


def _threshold(policy, scores):
    from components.calibrate import operating_point

    keep = operating_point._CHANCE_RESAMPLES
    operating_point._CHANCE_RESAMPLES = 1  # the chance is not what this test measures
    try:
        return choose(config(operating_point=policy), scores, NONE).threshold_logit
    finally:
        operating_point._CHANCE_RESAMPLES = keep
