"""AUC, AP and the rates of a threshold against the ISIC challenge's own scoring, in an environment of its own."""

import json
import subprocess

import numpy as np
import pytest

from components.common.statistics.ranking import Ranking
from components.evaluate.operating import confusion, count_calls, rates

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


def ours(item):
    """Every figure ISIC gives, and which of its rates are 0 / 0."""
    label, p = np.array(item["label"], np.int8), np.array(item["p"])
    codes = np.arange(len(p))
    calls = count_calls(p, np.array([item["threshold"]]), label, codes, len(p), resamples=2, seed=0)
    found = {name: value.value for name, value in rates(calls)}
    found |= Ranking(p, label, codes, len(p)).value(("roc_auc", "average_precision"))
    c = confusion(calls)
    empty = {"sensitivity": c.tp + c.fn, "specificity": c.tn + c.fp, "ppv": c.tp + c.fp, "npv": c.tn + c.fn}
    return found, {name for name, count in empty.items() if count == 0}


def test_auc_ap_and_rates_are_those_of_the_isic_challenge(environment, score_sets):
    sets = [
        {"label": label.tolist(), "p": p.tolist(), "threshold": float(np.round(0.1 + 0.6 * (k % 7) / 7, 3))}
        for k, (label, p) in enumerate(score_sets)
    ]
    done = subprocess.run(
        [environment("isic"), "-c", ISIC], input=json.dumps(sets), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for k, (item, theirs) in enumerate(zip(sets, json.loads(done.stdout), strict=True)):
        found, empty = ours(item)
        for name, expected in theirs.items():
            if expected is None:
                assert np.isnan(found[name]), (k, name)
            elif name in empty:  # ISIC gives 1.0 for 0 / 0; we give no number
                assert found[name] is None, (k, name)
            else:
                assert found[name] == pytest.approx(expected, abs=1e-12), (k, name)
