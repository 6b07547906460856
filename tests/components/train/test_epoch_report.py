import csv
import io
import logging

import numpy as np
import pytest

from components.train.config import TrainConfig
from components.train.epoch_report import COLUMNS, Cost, block, history_csv, history_row, log_epoch
from components.train.metrics import validation_metrics
from components.train.schedule import RunState

METRICS = validation_metrics(np.array([1, 1, 0, 0, 0], np.int8), np.array([2.0, -1.0, 1.0, -2.0, -3.0]))
COST = Cost(images=640, seconds=10.0, waited=0.5, val_seconds=2.0, peak=3 * 2**30, device_peak=7 * 2**30)
ROW = history_row(2, 4e-4, 0.5, METRICS, COST)
STATE = RunState(epoch=2, best=0.9, best_epoch=1, wait=1)
CONFIG = TrainConfig(epochs=7)


def test_a_row_has_every_column_and_survives_csv():
    assert tuple(ROW) == COLUMNS
    (back,) = csv.DictReader(io.StringIO(history_csv([ROW])))
    assert float(back["val_average_precision"]) == ROW["val_average_precision"]
    assert float(back["images_per_s"]) == 64.0
    assert float(back["data_wait"]) == 0.05
    assert history_csv([ROW]).count("\n") == 2


def test_the_block_shows_what_a_person_asks_for():
    text = block(ROW, 7, STATE)
    for part in ("epoch 2 of 7", "learning rate 0.0004", "loss 0.5000", "average precision", "best 0.9000 in epoch 1",
                 "ROC-AUC", "sensitivity 0.500", "specificity 0.667", "prevalence 40.0%", "said malignant 40.0%",
                 "64.0 images/s", "data wait 5.0%", "training 10 s, validation 2 s",
                 "memory peak 3,072 MB, of the GPU 7,168 MB"):  # fmt: skip
        assert part in text
    rows = [line.split() for line in text.splitlines()]
    assert ["benign", "2", "1", "specificity", "0.667"] in rows
    assert ["malignant", "1", "1", "sensitivity", "0.500"] in rows


def test_the_block_fits_a_terminal_of_80_columns_behind_the_log_s_time_and_level():
    row = {**ROW, "epoch": 1000, "learning_rate": 1.23e-07, "images_per_s": 12345.6, "seconds": 12345.0, "tn": 99999}
    wide = block(row, 1000, RunState(best=0.9, best_epoch=999)).splitlines()
    assert len(wide[0]) + len("17:21:45 INFO    ") <= 80
    assert max(len(line) for line in wide) <= 80


def messages(caplog, row, config, state):
    caplog.clear()
    with caplog.at_level(logging.INFO):
        log_epoch(row, config, state)
    return [(record.levelname, record.getMessage()) for record in caplog.records]


def test_a_healthy_epoch_warns_of_nothing_and_says_how_long_none_was_better(caplog):
    lines = messages(caplog, ROW, CONFIG, STATE)
    assert [level for level, _ in lines] == ["INFO", "INFO"]
    assert lines[1][1] == "1 of 5 epochs without a better average precision"
    assert len(messages(caplog, ROW, CONFIG, RunState(epoch=2, best=0.9, best_epoch=2))) == 1


@pytest.mark.parametrize(
    ("logits", "waited", "warning"),
    [([-1.0, -4.0, -3.0, -2.0], 0.0, "called benign (0.0 % malignant)"),
     ([4.0, 1.0, 2.0, 3.0], 0.0, "called malignant (100.0 % malignant)"),
     ([-2.5, 1.0, -3.0, 2.0], 0.0, "hardly better than chance (ROC-AUC 0.333)"),
     ([1.0, -3.0, -2.0, -1.0], 2.0, "waited for data 20 % of the time")],
)  # fmt: skip
def test_each_trouble_has_its_warning_and_no_other(caplog, logits, waited, warning):
    metrics = validation_metrics(np.array([1, 0, 0, 0], np.int8), np.array(logits))
    row = history_row(1, 1e-3, 0.5, metrics, Cost(images=10, seconds=10.0, waited=waited))
    ((_, text),) = [one for one in messages(caplog, row, CONFIG, STATE) if one[0] == "WARNING"]
    assert warning in text
