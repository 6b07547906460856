"""Facts about the reference data that METHODS states, measured with this step's own code."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from components.common.decision import sigmoid
from components.common.ranking import Ranking
from components.common.resampling import group_codes
from components.common.scores import Scores
from components.evaluate.shortcuts import control_scores, shortcut_metrics

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def table():
    shared = Path(os.environ.get("LESIONFLOW_SHARED", Path(__file__).parents[4] / "shared")) / "ham10000"
    if not shared.is_dir():
        pytest.skip("the reference data is not beside the checkout (../shared/ham10000)")
    source = pd.read_csv(shared / "HAM10000_metadata.csv")[["image_id", "dataset"]]
    return pd.read_csv(shared / "golden_split.csv").merge(source, on="image_id")


@pytest.fixture(scope="module")
def controls(table):
    return control_scores(table[table["split"] == "train"], table[table["split"] == "test"])


def scores_of(test, logit):
    text = (test[name].to_numpy(np.str_) for name in ("image_id", "lesion_id", "lesion_id"))
    return Scores(*text, test["label"].to_numpy(np.int8), logit, sigmoid(logit))


def test_the_label_can_be_guessed_from_the_source_and_from_dx_type(table, controls):
    test = table[table["split"] == "test"]
    scores = scores_of(test, controls["control_metadata"])
    columns = {**controls, "dataset": test["dataset"].to_numpy(np.str_), "dx_type": test["dx_type"].to_numpy(np.str_)}
    found = shortcut_metrics(scores, columns, 200, 0)
    assert found["alone"]["source"]["value"] == pytest.approx(0.766, abs=0.005)
    assert found["alone"]["dx_type"]["value"] == pytest.approx(0.789, abs=0.01)
    assert found["histology_only"]["malignant"] == found["model"]["malignant"] == 288
    assert {row["source"] for row in found["within_source"]} == set(table["dataset"])


def test_real_scores_with_many_ties_agree_with_scikit_learn(table, controls):
    test = table[table["split"] == "test"]
    codes, groups = group_codes(test["lesion_id"].to_numpy(np.str_))
    assert (len(test), groups) == (1505, 1121)
    for score in controls.values():
        value = Ranking(score, test["label"].to_numpy(np.int8), codes, groups).value()
        assert value["roc_auc"] == pytest.approx(roc_auc_score(test["label"], score), abs=1e-12)
        assert value["average_precision"] == pytest.approx(average_precision_score(test["label"], score), abs=1e-12)


def test_image_level_intervals_are_too_narrow_on_real_lesions(table, controls):
    test = table[table["split"] == "test"]
    label, score = test["label"].to_numpy(np.int8), controls["control_metadata"]
    widths = []
    for codes, groups in (group_codes(test["lesion_id"].to_numpy(np.str_)), (np.arange(1505), 1505)):
        drawn = Ranking(score, label, codes, groups).resampled(1000, 0, ["roc_auc"])["roc_auc"]
        widths.append(float(np.ptp(np.quantile(drawn, [0.025, 0.975]))))
    assert 0.65 < widths[1] / widths[0] < 0.85  # METHODS: 25 to 30 % too narrow
