import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from components.calibrate.config import CalibrateConfig
from components.calibrate.operating_point import choose, logit_at
from components.common.artifacts.policy import Calibrator
from components.common.artifacts.scores import Scores
from components.common.runtime.errors import DataError
from components.common.statistics.intervals import clopper_pearson_lower, groups_needed
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
    with pytest.raises(DataError, match=r"validation has \d+ malignant groups, expected at least 29"):
        choose(config(), sim(60, 0), NONE)


def test_point_is_the_highest_threshold_that_reaches_the_target(sim):
    scores = sim(400, 1)
    found = choose(config(operating_point="point"), scores, NONE)
    malignant = scores.logit[scores.label == 1]
    assert np.mean(malignant >= found.threshold_logit) >= 0.90
    benign = scores.logit[scores.label == 0]
    higher = benign[benign >= found.threshold_logit].min()  # the next threshold that wins a benign image
    assert np.mean(malignant > higher) < 0.90
    assert found.guarantee.startswith("none")
    assert 0.2 < found.chance < 0.8


def test_lower_bound_is_stricter_than_point_and_its_chance_is_measured(sim):
    scores = sim(700, 2)
    point, bound = (choose(config(operating_point=k), scores, NONE) for k in ("point", "lower_bound"))
    assert bound.threshold_logit <= point.threshold_logit
    assert bound.sensitivity_lower >= 0.90
    assert bound.chance >= 0.9 > point.chance


RULES = ["lower_bound", "point", "cost", "youden"]


def rates(scores, threshold):
    return (
        np.mean(scores.logit[scores.label == 1] >= threshold),
        np.mean(scores.logit[scores.label == 0] < threshold),
    )


def of(label, logit, group=None):
    ids = np.array([f"I{k:04d}" for k in range(len(label))])
    logit = np.asarray(logit, np.float32).astype(np.float64)
    return Scores(ids, ids, ids if group is None else group, np.asarray(label, np.int8), logit, sigmoid(logit))


def test_cost_puts_the_threshold_where_the_costs_say():
    # a malignant score at the threshold and a benign one below it: validation knows nothing better
    scores = of([0, 0, 1, 1, 0, 1], [-4.0, -3.1, -2.9, -1.0, 0.0, 2.0])
    found = choose(config(operating_point="cost", cost_ratio=19), scores, NONE)
    assert sigmoid(np.array(found.threshold_logit)) == pytest.approx(0.05, abs=1e-7)
    assert found.guarantee == "none; threshold 0.05 = 1 / (1 + cost ratio 19)"


@pytest.mark.parametrize(
    ("logits", "moved", "expected"),
    [([-4.0, -3.2, -3.1, -2.9, 2.0], "lowered", (1.0, 0.5)), ([-4.0, -2.9, -1.0, 0.0, 2.0], "raised", (1.0, 1.0))],
)
def test_cost_moves_only_where_validation_gives_something_for_nothing(logits, moved, expected):
    label = [0, 1, 1, 0, 1] if moved == "lowered" else [0, 0, 1, 1, 1]
    scores = of(label, logits)  # the costs say -2.944
    found = choose(config(operating_point="cost", cost_ratio=19), scores, NONE)
    assert rates(scores, found.threshold_logit) == expected
    assert moved in found.guarantee


@pytest.mark.parametrize("rule", RULES)
def test_separated_scores_put_the_threshold_into_the_gap(rule):
    rng = np.random.default_rng(0)
    label = (np.arange(600) < 120).astype(np.int8)
    scores = of(label, np.where(label == 1, rng.normal(8, 1, 600), rng.normal(-8, 1, 600)))
    found = choose(config(operating_point=rule), scores, NONE)
    assert (found.sensitivity, found.specificity) == (1.0, 1.0)
    assert -5 < found.threshold_logit < 5
    assert found.sensitivity_lower == pytest.approx(0.05 ** (1 / 120))
    assert found.chance in (None, 1.0)


@given(data=st.data(), rule=st.sampled_from(RULES))
@settings(max_examples=150, deadline=None)
def test_no_threshold_is_better_on_one_side_and_as_good_on_the_other(data, rule):
    n = data.draw(st.integers(60, 90))
    logit = data.draw(st.lists(st.integers(-40, 40), min_size=n, max_size=n))  # many ties
    malignant = data.draw(st.lists(st.booleans(), min_size=n - 31, max_size=n - 31))
    label = np.r_[np.ones(30), np.array(malignant), 0].astype(np.int8)
    scores = of(label, np.array(logit) / 10)
    threshold = _found(scores, rule).threshold_logit
    sensitivity, specificity = rates(scores, threshold)
    for other in [*np.unique(scores.logit), np.inf]:
        theirs = rates(scores, other)
        assert not (theirs[0] >= sensitivity and theirs[1] >= specificity and theirs != (sensitivity, specificity))
    assert float(np.float32(threshold)) == threshold


def _found(scores, rule):
    from components.calibrate import operating_point

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(operating_point, "_CHANCE_RESAMPLES", 1)  # the chance is not what these tests measure
        return choose(config(operating_point=rule), scores, NONE)


@pytest.mark.parametrize("seed", range(8))
def test_lower_bound_is_never_above_the_highest_threshold_that_keeps_its_promise(sim, seed):
    scores = sim(500, seed)
    found = _found(scores, "lower_bound")
    _, codes = np.unique(scores.group_id[scores.label == 1], return_inverse=True)
    malignant, size = scores.logit[scores.label == 1], np.bincount(codes)
    highest = -np.inf
    for t in np.unique(scores.logit):
        hit = malignant >= t
        share = min(hit.mean(), (np.bincount(codes, hit) / size).mean())
        if clopper_pearson_lower(len(size) * share, len(size), 0.05) >= 0.90:
            highest = t
    assert found.threshold_logit <= highest
    assert found.sensitivity_lower >= 0.90
    assert rates(scores, found.threshold_logit)[1] == rates(scores, highest)[1]  # no benign image is lost by it


def test_a_group_of_benign_and_malignant_images_counts_as_malignant(sim):
    """A patient: malignant groups are those with a malignant image, and only these images can be found."""
    scores = sim(600, 3)
    names = np.unique(scores.group_id)
    patient = dict(zip(names, (f"P{k // 3:04d}" for k in range(len(names))), strict=True))
    group = np.array([patient[name] for name in scores.group_id])
    mixed = of(scores.label, scores.logit, group)
    found = _found(mixed, "lower_bound")
    patients = len(np.unique(group[scores.label == 1]))
    assert patients < len(np.unique(scores.group_id[scores.label == 1]))  # fewer independent ones, a wider bound
    assert f"over {patients} malignant groups" in found.guarantee
    assert found.threshold_logit <= _found(scores, "lower_bound").threshold_logit
    assert found.sensitivity_lower >= 0.90


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
            reached.append(np.mean(large >= _found(scores, policy).threshold_logit) >= 0.90)
    assert np.mean(kept["lower_bound"]) >= 0.95
    assert 0.3 < np.mean(kept["point"]) < 0.7
