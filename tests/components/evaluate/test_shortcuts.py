import numpy as np
import pandas as pd
import pytest

from components.common.artifacts.scores import Scores
from components.evaluate.shortcuts import control_scores, shortcut_metrics


def table(n, seed):
    rng = np.random.default_rng(seed)
    label = (rng.random(n) < 0.3).astype(int)
    return pd.DataFrame(
        {
            "label": label,
            "dx_type": np.where(label == 1, "histo", rng.choice(["histo", "follow_up"], n)),
            "dataset": rng.choice(["a", "b"], n),
            "age": np.where(rng.random(n) < 0.1, np.nan, 30 + 30 * label + rng.normal(0, 8, n)),
            "sex": pd.Series(rng.choice(["male", "female"], n)).where(rng.random(n) > 0.1),
            "localization": "back",
        }
    )


@pytest.fixture
def shortcuts():
    train, test = table(2000, 0), table(1500, 1)
    ids = np.array([f"i{k}" for k in range(1500)])
    logit = np.random.default_rng(3).normal(test["label"] * 1.5, 1.0)
    scores = Scores(ids, ids, ids, test["label"].to_numpy(np.int8), logit, 1 / (1 + np.exp(-logit)))
    columns = {**control_scores(train, test), "dataset": test["dataset"].to_numpy(np.str_)}
    columns["dx_type"] = test["dx_type"].to_numpy(np.str_)
    return shortcut_metrics(scores, columns, 200, 0)


def test_a_telling_column_is_exposed_and_a_random_one_is_not(shortcuts):
    alone = shortcuts.alone
    assert alone["dx_type"].value == pytest.approx(0.75, abs=0.03)  # half of the benign are histo too
    assert alone["metadata"].value > 0.9
    assert alone["source"].lower < 0.5 < alone["source"].upper


def test_the_model_is_measured_within_each_source_and_on_histology_only(shortcuts):
    assert [row.source for row in shortcuts.within_source] == ["a", "b"]
    assert sum(row.n for row in shortcuts.within_source) == 1500
    assert shortcuts.histology_only.n < 1500
    assert shortcuts.model.value == pytest.approx(0.855, abs=0.03)


def test_what_the_table_does_not_record_is_not_measured_as_harmless():
    empty = {"age": np.nan, "sex": None, "localization": "unknown", "dataset": "", "dx_type": None}
    train, test = table(200, 0).assign(**empty), table(90, 1).assign(**empty)
    assert control_scores(train, test) == {}
    assert list(control_scores(train.assign(sex="male"), test.assign(sex="male"))) == ["control_metadata"]
    assert control_scores(table(200, 0), test) == {}
    ids = np.array([f"i{k}" for k in range(90)])
    logit = np.random.default_rng(3).normal(test["label"] * 1.5, 1.0)
    scores = Scores(ids, ids, ids, test["label"].to_numpy(np.int8), logit, 1 / (1 + np.exp(-logit)))
    found = shortcut_metrics(scores, {"dataset": np.full(90, "")}, 50, 0)
    assert (found.alone, found.within_source) == ({}, None)


def test_nothing_to_fit_on_gives_no_control():
    assert control_scores(table(50, 0).query("label == 0"), table(20, 1)) == {}
    assert control_scores(table(50, 0).iloc[:0], table(20, 1)) == {}
