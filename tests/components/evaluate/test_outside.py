"""The statistics against other people's implementations, on random score sets with every oddity and on real ones."""

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from components.common.statistics import reliability
from components.common.statistics.delong import clustered_auc
from components.common.statistics.ranking import Ranking
from components.evaluate.calibration import brier_decomposition
from components.evaluate.operating import NET_BENEFIT_THRESHOLDS, decision_curve


def both(label):
    return 0 < label.sum() < len(label)


def test_ranking_brier_log_loss_and_bins_are_scikit_learns(score_sets):
    for k, (label, p) in enumerate(score_sets):
        y, q = label.astype(float), np.clip(p, 1e-6, 1 - 1e-6)
        assert reliability.brier(y, p) == pytest.approx(brier_score_loss(y, p, pos_label=1), abs=1e-12), k
        assert reliability.log_loss(y, q) == pytest.approx(log_loss(y, q, labels=[0, 1]), abs=1e-9), k
        observed, predicted = calibration_curve(y, p, n_bins=15, strategy="quantile")
        points = reliability.equal_mass_bins(y, p)
        np.testing.assert_allclose(points.observed, observed, atol=1e-12, err_msg=str(k))
        np.testing.assert_allclose(points.predicted, predicted, atol=1e-12, err_msg=str(k))
        value = Ranking(p, label, np.arange(len(p)), len(p)).value(("roc_auc", "average_precision"))
        if both(label):
            assert value["roc_auc"] == pytest.approx(roc_auc_score(y, p), abs=1e-12), k
            assert value["average_precision"] == pytest.approx(average_precision_score(y, p), abs=1e-12), k
        else:
            assert np.isnan(list(value.values())).all(), k


def test_net_benefit_is_dcurves_own(score_sets):
    dcurves = pytest.importorskip("dcurves")
    for k, (label, scored) in enumerate(score_sets):
        p = np.where(np.isclose(scored * 100, np.round(scored * 100)), scored + 1e-6, scored)  # none on a threshold
        every = slice(k % 5, None, 5)  # dcurves takes 8 ms per threshold
        ours = decision_curve(p, label, np.arange(len(p)), len(p), 200 if k == 0 else 2, 0)[every]
        assert [row.threshold for row in ours] == list(NET_BENEFIT_THRESHOLDS)[every]
        frame = pd.DataFrame({"y": label.astype(int), "model": p})
        grid = [row.threshold for row in ours]
        if not both(label):  # dcurves divides by the absent class; the definition does not
            with pytest.raises(ZeroDivisionError):
                dcurves.dca(data=frame, outcome="y", modelnames=["model"], thresholds=grid)
            called = p[:, None] >= np.array(grid)
            odds = np.array(grid) / (1 - np.array(grid))
            worth = np.where(label[:, None] == 1, called, called * -odds)
            np.testing.assert_allclose([row.value for row in ours], worth.mean(axis=0), atol=1e-12)
            continue
        theirs = dcurves.dca(data=frame, outcome="y", modelnames=["model"], thresholds=grid)
        for name, key in (("model", "value"), ("all", "treat_all")):
            expected = theirs[theirs["model"] == name].sort_values("threshold")["net_benefit"].to_numpy()
            np.testing.assert_allclose([getattr(row, key) for row in ours], expected, atol=1e-9, err_msg=f"{k} {name}")


def test_brier_decomposition_is_model_diagnostics_own(score_sets):
    scoring = pytest.importorskip("model_diagnostics.scoring")
    for k, (label, p) in enumerate(score_sets):
        y = label.astype(float)
        ours = brier_decomposition(y, p)
        if len(y) == 1:  # model-diagnostics refuses a single image; all its Brier score is miscalibration
            assert ours.miscalibration == ours.score == float((y[0] - p[0]) ** 2)
            assert ours.discrimination == ours.uncertainty == 0
            continue
        theirs = scoring.decompose(y_obs=y, y_pred=p, scoring_function=scoring.SquaredError())
        for key in ("miscalibration", "discrimination", "uncertainty"):
            assert getattr(ours, key) == pytest.approx(float(theirs[key][0]), abs=1e-9), (k, key)
        assert ours.score == pytest.approx(float(theirs["score"][0]), abs=1e-12)


def delong_sets(score_sets):
    """The sets on which DeLong's interval says something, with ours: both classes, and no end at 0 or 1."""
    found = []
    for label, p in score_sets:
        interval, error = clustered_auc(p, label, np.arange(len(p)), len(p))
        if not both(label):
            assert interval.value is None
            assert error is None
        elif error and interval.upper < 1 and interval.lower > 0:
            found.append((label, p, interval))
    return found


def test_the_interval_of_single_image_lesions_is_mlstatkits_delong(score_sets):
    delong = pytest.importorskip("MLstatkit").Delong_test
    sets = delong_sets(score_sets)
    assert len(sets) >= 0.4 * len(score_sets)
    for k, (label, p, ours) in enumerate(sets):
        other = np.random.default_rng(k).random(len(p))
        _, _, (low, high), _, auc, *_ = delong(label.astype(int), p, other)
        assert auc == pytest.approx(ours.value, abs=1e-9), k
        assert (low, high) == pytest.approx((ours.lower, ours.upper), abs=1e-6), k


def test_the_interval_of_single_image_lesions_is_confidenceintervals_delong(score_sets):
    package = pytest.importorskip("confidenceinterval")
    for k, (label, p, ours) in enumerate(delong_sets(score_sets)):
        value, (low, high) = package.roc_auc_score(label.astype(int), p, confidence_level=0.95)
        assert (value, low, high) == pytest.approx((ours.value, ours.lower, ours.upper), abs=1e-5), k  # float32 there
