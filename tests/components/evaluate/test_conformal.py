import numpy as np
import pytest

from components.common.artifacts.policy import load_policy
from components.common.artifacts.scores import Scores
from components.evaluate.conformal import ALPHAS, limits, prediction_sets


def p_values(known, new, same):
    """The definition (Vovk 2012): the share of a class at least as strange as the new one, itself included."""
    return np.array([(1 + sum(same(k, p) for k in known)) / (len(known) + 1) for p in new])


@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.2, 0.5])
@pytest.mark.parametrize("decimals", [1, 8])
def test_limits_are_where_the_p_values_cross_alpha(alpha, decimals):
    rng = np.random.default_rng(int(100 * alpha))
    label = (rng.random(160) < 0.3).astype(np.int8)
    p = np.round(rng.beta(1 + 2 * label, 3 - label), decimals)
    new = np.round(rng.random(400), decimals)
    low, high = limits(p, label, alpha)
    malignant = p_values(p[label == 1], new, lambda k, one: k <= one)
    benign = p_values(p[label == 0], new, lambda k, one: k >= one)
    np.testing.assert_array_equal(new >= low, malignant > alpha + 1e-9)
    np.testing.assert_array_equal(new <= high, benign > alpha + 1e-9)


def test_too_few_lesions_exclude_nothing():
    label = np.array([1] * 8 + [0] * 40, np.int8)
    p = np.linspace(0.9, 0.1, 48)
    assert limits(p, label, 0.1) is None
    assert limits(p, label, 0.2) is not None


def test_each_class_is_kept_as_often_as_promised(sim, saved):
    """Over many validation sets; a single one is off by its own luck."""
    policy = load_policy(saved / "decision_policy.json")
    test = sim(40_000, 1000).first_image_per_group()
    p = policy.probability(test.logit)
    kept = {alpha: [] for alpha in ALPHAS}
    for seed in range(1, 100):
        val = sim(300, seed).first_image_per_group()
        for alpha, found in kept.items():
            low, high = limits(policy.probability(val.logit), val.label, alpha)
            found.append((np.mean(p[test.label == 1] >= low), np.mean(p[test.label == 0] <= high)))
    for alpha, found in kept.items():
        malignant, benign = np.mean(found, axis=0)
        assert 1 - alpha - 0.015 <= malignant <= 1 - alpha + 0.03, alpha  # k / (n + 1) is below alpha
        assert 1 - alpha - 0.01 <= benign <= 1 - alpha + 0.015, alpha


def test_rows_count_lesions_and_their_shares_add_up(sim, saved):
    policy = load_policy(saved / "decision_policy.json")
    val, test = sim(400, 1), sim(500, 2)
    rows = prediction_sets(val, test, policy, 200, 0)
    assert [row.alpha for row in rows] == list(ALPHAS)
    for row in rows:
        assert row.n == 500
        assert row.one_answer + row.not_sure + row.neither == pytest.approx(1)
        for found in (row.malignant_coverage, row.benign_coverage):
            assert found.lower <= found.value <= found.upper
            assert found.value == pytest.approx(1 - row.alpha, abs=0.08)
    assert rows[0].not_sure > rows[1].not_sure >= rows[2].not_sure


def test_copies_of_an_image_change_nothing(sim, saved):
    policy = load_policy(saved / "decision_policy.json")
    val, test = sim(200, 3), sim(200, 4)
    order = np.repeat(np.arange(len(val)), 3)
    columns = {name: getattr(val, name)[order] for name in ("lesion_id", "group_id", "label", "logit", "probability")}
    copies = Scores(image_id=np.array([f"c{k}" for k in range(len(order))]), **columns)
    assert prediction_sets(copies, test, policy, 200, 0) == prediction_sets(val, test, policy, 200, 0)
