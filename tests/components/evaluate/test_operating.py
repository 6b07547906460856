import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix

from components.common.statistics.numeric import sigmoid
from components.common.statistics.resampling import group_codes, group_counts
from components.evaluate import operating


def calls_of(scores, thresholds, resamples=20, seed=0):
    return operating.count_calls(
        scores.logit, np.array(thresholds), scores.label, *group_codes(scores.group_id), resamples=resamples, seed=seed
    )


@given(seed=st.integers(0, 1000), thresholds=st.lists(st.floats(-3, 3), min_size=1, max_size=4))
@settings(max_examples=25, deadline=None)
def test_counts_agree_with_scikit_learn_on_data_and_resamples(seed, thresholds):
    rng = np.random.default_rng(seed)
    score, label = np.round(rng.normal(size=60), 1), (rng.random(60) < 0.4).astype(np.int8)
    codes, groups = group_codes(rng.integers(0, 20, 60).astype(np.str_))
    calls = operating.count_calls(score, np.array(thresholds), label, codes, groups, resamples=4, seed=seed)
    drawn = [np.ones(groups, int), *np.hstack(list(group_counts(groups, 4, seed))).T]
    for k, t in enumerate(thresholds):
        for b, counts in enumerate(drawn):
            (tn, fp), (fn, tp) = confusion_matrix(label, score >= t, labels=[0, 1], sample_weight=counts[codes])
            assert (calls.tp[k, b], calls.fp[k, b]) == (tp, fp)
            assert (calls.positives[b], calls.negatives[b]) == (tp + fn, tn + fp)


def test_rates_are_read_from_the_counts(sim):
    scores = sim(300, 0)
    calls = calls_of(scores, [0.0], resamples=400)
    c, found = operating.confusion(calls), operating.rates(calls)
    assert found.sensitivity.value == pytest.approx(c.tp / (c.tp + c.fn))
    assert found.npv.value == pytest.approx(c.tn / (c.tn + c.fn))
    assert found.number_needed_to_biopsy.value == pytest.approx(1 / found.ppv.value)
    for _, one in found:
        assert one.lower <= one.value <= one.upper


def test_all_found_is_no_certainty(sim):
    scores = sim(300, 0)
    found = operating.rates(calls_of(scores, [-100.0], resamples=400))
    malignant_lesions = len(np.unique(scores.group_id[scores.label == 1]))
    assert found.sensitivity.value == 1.0
    assert found.sensitivity.lower == pytest.approx(0.025 ** (1 / malignant_lesions))
    assert found.specificity.upper < 0.05


def test_a_perfect_npv_is_bounded_by_the_lesions_cleared(sim):
    scores = sim(300, 0)
    just_below = np.sort(scores.logit[scores.label == 1])[0]
    found = operating.rates(calls_of(scores, [5.0, just_below], resamples=400), 1)
    cleared = len(np.unique(scores.group_id[scores.logit < just_below]))
    assert found.npv.value == 1.0
    assert found.npv.lower == pytest.approx(0.025 ** (1 / cleared))


def test_net_benefit_of_calling_everybody_malignant_is_treat_all(sim):
    scores = sim(200, 1)
    codes, groups = group_codes(scores.group_id)
    everybody = np.full(len(scores), 0.99)
    curve = operating.decision_curve(everybody, scores.label, codes, groups, 50, 0)
    assert len(curve) == 50
    for point in curve:
        assert point.value == pytest.approx(point.treat_all, abs=1e-12)


def test_the_prevalence_table_at_the_test_prevalence_gives_the_test_ppv(sim, monkeypatch):
    scores = sim(400, 2)
    prevalence = float(scores.label.mean())
    monkeypatch.setattr(operating, "PREVALENCES", (prevalence,))
    calls = calls_of(scores, [0.0], resamples=100)
    (row,) = operating.prevalence_table(calls, float(sigmoid(np.array(0.0))), prevalence)
    found = operating.rates(calls)
    assert row.ppv.value == pytest.approx(found.ppv.value)
    assert row.npv.value == pytest.approx(found.npv.value)
    assert row.threshold_probability_shifted == pytest.approx(0.5)


def test_a_model_that_missed_nothing_is_not_certain_at_any_prevalence(sim):
    scores = sim(300, 0)
    calls = calls_of(scores, [-100.0, 100.0], resamples=400)
    row = operating.prevalence_table(calls, 0.5, 0.2)[0]
    lesions = len(np.unique(scores.group_id[scores.label == 1]))
    assert row.missed_per_1000.value == row.missed_per_1000.lower == 0
    assert row.missed_per_1000.upper == pytest.approx(5 * (1 - 0.025 ** (1 / lesions)), rel=0.15)
    assert row.ppv.lower < row.ppv.value == pytest.approx(0.005)


def test_a_rarer_disease_lowers_ppv_and_raises_referrals(sim):
    table = operating.prevalence_table(calls_of(sim(400, 2), [0.0]), 0.5, 0.2)
    assert [row.prevalence for row in table] == [0.005, 0.02, 0.05, 0.10, 0.195]
    ppv = [row.ppv.value for row in table]
    assert ppv == sorted(ppv)
    assert all(row.referrals_per_cancer.value == pytest.approx(1 / row.ppv.value) for row in table)
