import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from components.train.metrics import average_precision, roc_auc, validation_metrics

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


def test_confusion_matrix_and_rates():
    metrics = validation_metrics(np.array([1, 1, 1, 0, 0], np.int8), np.array([2.0, 0.5, -1.0, 1.0, -2.0]))
    assert (metrics.tp, metrics.fn, metrics.fp, metrics.tn) == (2, 1, 1, 1)
    assert metrics.sensitivity == pytest.approx(2 / 3)
    assert metrics.specificity == pytest.approx(1 / 2)
    assert metrics.predicted_positive_rate == pytest.approx(3 / 5)
    assert metrics.prevalence == pytest.approx(3 / 5)
    assert not metrics.one_class


@pytest.mark.parametrize("shift", [-50.0, 50.0])
def test_one_class_is_noticed(shift):
    label = np.array([0, 1] * 20, np.int8)
    assert validation_metrics(label, np.linspace(0, 1, 40) + shift).one_class
