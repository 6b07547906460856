"""predictions.csv, as a spreadsheet meets it."""

import csv
import io
from dataclasses import replace

import numpy as np
import pytest

from components.common.artifacts.policy import Calibrator, DecisionPolicy
from components.common.artifacts.scores import Scores
from components.common.statistics.numeric import sigmoid
from components.evaluate.predictions import COLUMNS, predictions_csv


def policy(abstain=None):
    return DecisionPolicy(Calibrator("none"), 0.5, 0.62, {}, {}, 0.2, "0" * 64, "1" * 64, abstain)


def scores(ids):
    n = len(ids)
    logit = np.linspace(-2, 2, n)
    text = np.array(ids)
    return Scores(text, text, text, (np.arange(n) % 2).astype(np.int8), logit, sigmoid(logit))


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_every_image_has_its_row_with_numbers_in_full():
    given = scores([f"i{k}" for k in range(5)])
    table = rows(predictions_csv(given, policy()))
    assert tuple(table[0]) == COLUMNS
    assert [float(row["logit"]) for row in table] == given.logit.tolist()
    assert [float(row["probability"]) for row in table] == given.probability.tolist()
    assert [row["label"] for row in table] == ["benign", "malignant", "benign", "malignant", "benign"]
    assert [row["decision"] for row in table] == ["benign"] * 3 + ["malignant"] * 2


def test_what_is_referred_is_said():
    table = rows(predictions_csv(scores(["a", "b", "c"]), policy({"low": 0.3, "high": 0.8})))
    assert [row["decision"] for row in table] == ["benign", "refer", "malignant"]


@pytest.mark.parametrize("name", ["=1+1", "+cmd", "-2+3", "@SUM(A1)", "  =1", "\t=1", "\r=1", "=cmd|' /C calc'!A0"])
def test_no_id_is_taken_for_a_formula(name):
    cell = rows(predictions_csv(scores([name, "plain"]), policy()))[0]["image_id"]
    assert cell.startswith("'")


def test_commas_quotes_and_line_breaks_stay_in_their_cell():
    table = rows(predictions_csv(scores(['a,"b"', "c\nd"]), policy()))
    assert [row["image_id"] for row in table] == ['a,"b"', "'c d"]


def test_what_is_not_dermoscopy_is_referred_whatever_its_probability():
    given = replace(scores(["a", "b", "c"]), refused=np.array([True, False, True]))
    assert [row["decision"] for row in rows(predictions_csv(given, policy()))] == ["refer", "benign", "refer"]
