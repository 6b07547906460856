import numpy as np
import pytest

from components.train.metrics import validation_metrics


def test_confusion_matrix_and_rates():
    metrics = validation_metrics(np.array([1, 1, 1, 0, 0], np.int8), np.array([2.0, 0.0, -1.0, 1.0, -2.0]), 0.4)
    assert (metrics.tp, metrics.fn, metrics.fp, metrics.tn) == (2, 1, 1, 1)
    assert metrics.sensitivity == pytest.approx(2 / 3)
    assert metrics.specificity == pytest.approx(1 / 2)
    assert metrics.predicted_positive_rate == pytest.approx(3 / 5)
    assert metrics.prevalence == pytest.approx(3 / 5)
    assert not metrics.one_class


@pytest.mark.parametrize("shift", [-50.0, 50.0])
def test_one_class_is_noticed(shift):
    label = np.array([0, 1] * 20, np.int8)
    assert validation_metrics(label, np.linspace(0, 1, 40) + shift, 0.4).one_class
