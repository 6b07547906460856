import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from components.common.statistics.ranking import METRICS, Ranking, average_precision, roc_auc
from components.common.statistics.resampling import group_codes, group_counts


def rows(seed, n=None):
    """A score set: continuous, with ties, constant, or tiny."""
    rng = np.random.default_rng(seed)
    n = n or int(rng.choice([1, 2, 5, 30, 200]))
    score = rng.normal(size=n)
    kind = seed % 4
    if kind == 1:
        score = np.round(score * 2) / 2
    if kind == 2:
        score = np.zeros(n)
    label = (rng.random(n) < rng.choice([0.05, 0.2, 0.5])).astype(np.int8)
    return score, label, rng.integers(0, max(n // 2, 1), n).astype(np.str_)


def partial_auc(label, score):
    """Area above true positive rate 0.8, by scikit-learn on the mirrored problem (as ISIC 2024 did)."""
    scaled = roc_auc_score(1 - label, -score, max_fpr=0.2)
    smallest, largest = 0.5 * 0.2**2, 0.2
    return smallest + (largest - smallest) / 0.5 * (scaled - 0.5)


def reference(label, score):
    fpr, tpr, _ = roc_curve(label, score, drop_intermediate=False)
    out = {"roc_auc": roc_auc_score(label, score), "average_precision": average_precision_score(label, score)}
    out["partial_auc"] = partial_auc(label, score)
    for s in ("0.80", "0.90", "0.95"):
        out[f"sensitivity_at_specificity_{s}"] = tpr[fpr <= 1 - float(s) + 1e-9].max()
    for s in ("0.90", "0.95"):
        out[f"specificity_at_sensitivity_{s}"] = 1 - fpr[tpr >= float(s) - 1e-9].min()
    return out


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::sklearn.exceptions.UndefinedMetricWarning")
def test_400_random_score_sets_agree_with_scikit_learn():
    compared = 0
    for seed in range(400):
        score, label, group = rows(seed)
        value = Ranking(score, label, *group_codes(group)).value()
        if 0 < label.sum() < len(label):
            compared += 1
            for name, expected in reference(label, score).items():
                assert value[name] == pytest.approx(expected, abs=1e-12), (seed, name)
        else:
            assert all(np.isnan(value[name]) for name in METRICS), seed
    assert compared >= 200


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_resampled_metrics_equal_a_scikit_learn_loop_on_the_same_resamples(seed):
    score, label, group = rows(seed, n=120)
    codes, groups = group_codes(group)
    ranking = Ranking(score, label, codes, groups)
    drawn = ranking.resampled(12, seed)
    counts = np.hstack(list(group_counts(groups, 12, seed)))
    for b in range(12):
        taken = np.repeat(np.arange(len(score)), counts[codes, b])
        y, s = label[taken], score[taken]
        if not 0 < y.sum() < len(y):
            assert np.isnan(drawn["roc_auc"][b])
            continue
        for name, expected in reference(y, s).items():
            assert drawn[name][b] == pytest.approx(expected, abs=1e-12), name


def test_blocks_do_not_change_the_resamples():
    whole = np.hstack(list(group_counts(37, 50, 5)))
    pieces = np.hstack(list(group_counts(37, 50, 5, cells=37 * 7)))
    np.testing.assert_array_equal(whole, pieces)
    assert (whole.sum(axis=0) == 37).all()


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_ranking_ignores_row_order_and_monotone_maps(seed):
    score, label, group = rows(seed, n=80)
    order = np.random.default_rng(seed).permutation(len(score))
    one = Ranking(score, label, *group_codes(group)).value()
    two = Ranking(np.exp(score[order]), label[order], *group_codes(group[order])).value()
    for name in METRICS:
        assert one[name] == pytest.approx(two[name], abs=1e-12, nan_ok=True)


def test_perfect_and_reversed_scores():
    score, label = np.arange(10.0), (np.arange(10) >= 7).astype(np.int8)
    codes = np.arange(10)
    best, worst = Ranking(score, label, codes, 10).value(), Ranking(-score, label, codes, 10).value()
    assert best["roc_auc"] == best["average_precision"] == 1.0
    assert best["partial_auc"] == pytest.approx(0.2)
    assert worst["roc_auc"] == worst["partial_auc"] == 0.0


pairs = st.lists(st.tuples(st.integers(0, 1), st.integers(-4, 4)), min_size=2, max_size=60).filter(
    lambda rows: 0 < sum(label for label, _ in rows) < len(rows)
)


@settings(max_examples=60, deadline=None)
@given(pairs)
def test_ranking_equals_scikit_learn_with_many_ties(rows):
    label = np.array([row[0] for row in rows], np.int8)
    score = np.array([row[1] for row in rows], float)
    assert average_precision(label, score) == pytest.approx(average_precision_score(label, score), abs=1e-12)
    assert roc_auc(label, score) == pytest.approx(roc_auc_score(label, score), abs=1e-12)


def test_saturated_scores_keep_their_exact_average_precision():
    rng = np.random.default_rng(0)
    label = (rng.random(1500) < 0.2).astype(np.int8)
    score = np.round(rng.normal(label * 2.0, 1.0) * 30)  # logits whose sigmoid is 0 or 1 in float32
    assert average_precision(label, score) == pytest.approx(average_precision_score(label, score), abs=1e-12)
