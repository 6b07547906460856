import json

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from components.common.artifacts.estimate import Estimate
from components.common.artifacts.metrics import Confusion
from components.common.artifacts.scores import Scores
from components.common.statistics.numeric import sigmoid
from components.evaluate.publish import confusion_matrix, kfp_metrics, roc_points


@pytest.mark.parametrize("rows", [1, 2, 150, 5000])
def test_the_curve_is_thin_finite_monotone_and_complete(rows):
    rng = np.random.default_rng(0)
    ids = np.array([f"i{k}" for k in range(rows)])
    label = (rng.random(rows) < 0.3).astype(np.int8)
    logit = rng.normal(label, 1.0)
    curve = roc_points(Scores(ids, ids, ids, label, logit, sigmoid(logit)))
    json.dumps(curve, allow_nan=False)
    fpr, tpr, thresholds = curve
    assert len(fpr) == len(tpr) == len(thresholds) <= 200
    assert (fpr[0], tpr[0]) == (0.0, 0.0)
    assert fpr == sorted(fpr)
    assert tpr == sorted(tpr)
    assert thresholds == sorted(thresholds, reverse=True)
    if 0 < label.sum() < rows:
        assert (fpr[-1], tpr[-1]) == (1.0, 1.0)
        area = np.trapezoid(tpr, fpr)
        assert area == pytest.approx(roc_auc_score(label, logit), abs=0.005)


def test_saturated_probabilities_keep_the_first_threshold_finite():
    ids = np.array(["a", "b"])
    scores = Scores(ids, ids, ids, np.array([0, 1], np.int8), np.array([-90.0, 90.0]), np.array([0.0, 1.0]))
    assert roc_points(scores)[2][0] == pytest.approx(1.0, abs=1e-5)


def test_rows_of_the_confusion_matrix_are_the_truth():
    found = confusion_matrix(Confusion(tp=4, fp=3, fn=2, tn=1))
    assert found == (["benign", "malignant"], [[1, 3], [2, 4]])


def test_what_kfp_shows_is_what_the_metrics_say_without_what_could_not_be_computed(metrics):
    unknown = Estimate(value=None, lower=None, upper=None)
    found = kfp_metrics(metrics.model_copy(update={"ppv": unknown}))
    assert found["roc_auc_lower"] == metrics.roc_auc.lower
    assert found["calibration_slope"] == metrics.calibration.slope.value
    assert not {"ppv", "ppv_lower"} & set(found)
    assert all(type(value) is float for value in found.values())
