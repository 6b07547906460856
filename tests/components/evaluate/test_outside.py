"""The statistics against other people's implementations, on random score sets with ties and on edge cases."""

import json
import os
import subprocess

import numpy as np
import pandas as pd
import pytest

from components.common.ranking import Ranking
from components.common.resampling import group_codes
from components.evaluate.calibration import brier_decomposition
from components.evaluate.delong import clustered_auc
from components.evaluate.operating import confusion, count_calls, decision_curve, rates

SETS = 200


def score_set(seed):
    """Labels of both classes and probabilities: smooth, tied, two-valued or constant, 4 to 400 rows."""
    rng = np.random.default_rng(seed)
    n = int(rng.choice([4, 20, 100, 400]))
    label = (rng.random(n) < rng.choice([0.1, 0.3, 0.5])).astype(np.int8)
    label[:2] = (0, 1)
    p = np.clip(rng.normal(0.3 + 0.25 * label, 0.2), 0.001, 0.999)
    kind = seed % 4
    if kind == 1:
        p = np.round(p, 1)
    if kind == 2:
        p = np.where(p > 0.4, 0.7, 0.2)
    if kind == 3 and seed % 8 == 3:
        p = np.full(n, 0.25)
    return label, p


def test_net_benefit_is_dcurves_own():
    dcurves = pytest.importorskip("dcurves")
    for seed in range(SETS):
        label, p = score_set(seed)
        p = np.where(np.isclose(p * 100, np.round(p * 100)), p + 1e-6, p)  # no probability on a threshold itself
        codes = np.arange(len(p))
        ours = decision_curve(p, label, codes, len(p), 200 if seed == 0 else 2, 0)
        ours = ours[seed % 5 :: 5]  # dcurves takes 8 ms a threshold
        grid = [row["threshold"] for row in ours]
        frame = pd.DataFrame({"y": label.astype(int), "model": p})
        theirs = dcurves.dca(data=frame, outcome="y", modelnames=["model"], thresholds=grid)
        for name, key in (("model", "value"), ("all", "treat_all")):
            expected = theirs[theirs["model"] == name].sort_values("threshold")["net_benefit"].to_numpy()
            np.testing.assert_allclose([row[key] for row in ours], expected, atol=1e-9, err_msg=f"{seed} {name}")


def test_brier_decomposition_is_model_diagnostics_own():
    scoring = pytest.importorskip("model_diagnostics.scoring")
    for seed in range(SETS):
        label, p = score_set(seed)
        ours = brier_decomposition(label.astype(float), p)
        theirs = scoring.decompose(y_obs=label.astype(float), y_pred=p, scoring_function=scoring.SquaredError())
        for key in ("miscalibration", "discrimination", "uncertainty"):
            assert ours[f"brier_{key}"] == pytest.approx(float(theirs[key][0]), abs=1e-9), (seed, key)
        assert ours["brier"] == pytest.approx(float(theirs["score"][0]), abs=1e-12)


def test_the_interval_of_single_image_lesions_is_mlstatkits_delong():
    delong = pytest.importorskip("MLstatkit").Delong_test
    compared = 0
    for seed in range(SETS):
        label, p = score_set(seed)
        if min(label.sum(), (1 - label).sum()) < 3 or np.ptp(p) == 0:
            continue
        interval, error = clustered_auc(p, label, *group_codes(np.arange(len(p)).astype(np.str_)))
        if error == 0 or interval.upper == 1.0 or interval.lower == 0.0:
            continue  # ours stops at the ends of the scale
        other = np.random.default_rng(seed).random(len(p))
        _, _, (low, high), _, auc, *_ = delong(label.astype(int), p, other)
        assert auc == pytest.approx(interval.value, abs=1e-9), seed
        assert (low, high) == pytest.approx((interval.lower, interval.upper), abs=1e-6), seed
        compared += 1
    assert compared >= 80


def test_the_interval_of_single_image_lesions_is_confidenceintervals_delong():
    package = pytest.importorskip("confidenceinterval")
    label, p = score_set(8)
    interval, _ = clustered_auc(p, label, np.arange(len(p)), len(p))
    value, (low, high) = package.roc_auc_score(label.astype(int), p, confidence_level=0.95)
    assert (value, low, high) == pytest.approx((interval.value, interval.lower, interval.upper), abs=1e-5)


ISIC = """
import json, sys
import numpy as np, pandas as pd
from isic_challenge_scoring import metrics
from isic_challenge_scoring.confusion import create_binary_confusion_matrix
out = []
for item in json.load(sys.stdin):
    y, p = pd.Series(item["label"], dtype=float), pd.Series(item["p"])
    one = pd.Series(np.ones(len(y)))
    cm = create_binary_confusion_matrix(y.to_numpy() > 0.5, p.to_numpy() >= item["threshold"])
    both = 0 < y.sum() < len(y)
    out.append({
        "roc_auc": metrics.auc(y, p, one) if both else None,
        "average_precision": metrics.average_precision(y, p, one) if both else None,
        "sensitivity": metrics.binary_sensitivity(cm), "specificity": metrics.binary_specificity(cm),
        "ppv": metrics.binary_ppv(cm), "npv": metrics.binary_npv(cm), "accuracy": metrics.binary_accuracy(cm),
    })
json.dump(out, sys.stdout)
"""


def test_auc_ap_and_rates_are_those_of_the_isic_challenge():
    """isic-challenge-scoring needs pandas < 3, so it lives in an environment of its own."""
    python = os.environ.get("ISIC_SCORING_PYTHON")
    if not python:
        pytest.skip(
            "ISIC_SCORING_PYTHON is not set: uv venv isic && uv pip install --python isic/bin/python "
            "'pandas<3' isic-challenge-scoring, then ISIC_SCORING_PYTHON=isic/bin/python"
        )
    sets = []
    for seed in range(SETS):
        label, p = score_set(seed)
        if seed % 10 == 9:
            label[:] = seed % 20 == 9  # one class missing
        if seed % 50 == 49:
            label, p = label[:1], p[:1]
        sets.append(
            {"label": label.tolist(), "p": p.tolist(), "threshold": float(np.round(0.1 + 0.6 * (seed % 7) / 7, 3))}
        )
    done = subprocess.run([python, "-c", ISIC], input=json.dumps(sets), capture_output=True, text=True, check=True)
    for seed, (item, theirs) in enumerate(zip(sets, json.loads(done.stdout), strict=True)):
        label, p = np.array(item["label"], np.int8), np.array(item["p"])
        codes = np.arange(len(p))
        calls = count_calls(p, np.array([item["threshold"]]), label, codes, len(p), resamples=2, seed=0)
        ours = {name: value.value for name, value in rates(calls).items()}
        ours |= Ranking(p, label, codes, len(p)).value(("roc_auc", "average_precision"))
        table = confusion(calls)
        freebies = {"sensitivity": table["tp"] + table["fn"] == 0, "specificity": table["tn"] + table["fp"] == 0,
                    "ppv": table["tp"] + table["fp"] == 0, "npv": table["tn"] + table["fn"] == 0}  # fmt: skip
        for name, expected in theirs.items():
            if expected is None:
                assert np.isnan(ours[name]), (seed, name)
            elif freebies.get(name):  # ISIC gives 1.0 for 0 / 0; we give no number
                assert ours[name] is None, (seed, name)
            else:
                assert ours[name] == pytest.approx(expected, abs=1e-12), (seed, name)
