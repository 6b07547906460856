import csv
import io
import logging

import numpy as np
import pytest

from components.train.config import TrainConfig
from components.train.epoch_report import (
    Cost,
    confusion_block,
    epoch_line,
    history_csv,
    history_row,
    log_epoch,
    shown_line,
)
from components.train.metrics import ValidationMetrics, validation_metrics
from components.train.schedule import RunState

METRICS = validation_metrics(np.array([1, 1, 0, 0, 0], np.int8), np.array([2.0, -1.0, 1.0, -2.0, -3.0]), 0.625)
COST = Cost(images=640, seconds=10.0, waited=0.5, val_seconds=2.0, peak=3 * 2**30, device_peak=7 * 2**30)
ROW = history_row(2, 4e-4, 0.5, METRICS, COST)
STATE = RunState(epoch=2, best=0.9, best_epoch=1, wait=1)
CONFIG = TrainConfig(epochs=7)


def test_a_row_survives_csv():
    (back,) = csv.DictReader(io.StringIO(history_csv([ROW])))
    assert float(back["val_average_precision"]) == ROW["val_average_precision"]
    assert float(back["val_loss"]) == 0.625
    assert float(back["images_per_s"]) == 64.0
    assert float(back["data_wait"]) == 0.05
    assert history_csv([ROW]).count("\n") == 2


def test_the_epoch_s_line_can_be_found_by_grep_and_read_by_itself():
    metrics = ValidationMetrics(loss=0.498, average_precision=0.557, roc_auc=0.848, tp=1, fn=1, fp=1, tn=1)
    row = history_row(3, 2.1e-4, 0.511, metrics, Cost(images=1112, seconds=8.0, val_seconds=2.0))
    state = RunState(epoch=3, best=0.557, best_epoch=3, history=[row, row, row])
    assert epoch_line(row, 12, state) == (
        "epoch 3/12  train loss 0.511  val loss 0.498  val AP 0.557 (best)  val AUC 0.848  lr 2.1e-04  "
        "139 img/s  10 s  about 1:30 left"
    )


def test_a_line_that_is_not_the_best_names_the_best_and_the_last_epoch_has_nothing_left():
    assert "val AP 0.833 (best 0.900 in epoch 1)" in epoch_line(ROW, 7, STATE)
    assert "left" not in epoch_line(ROW, 2, STATE)
    warmed_up = RunState(epoch=2, best=0.9, best_epoch=0, wait=2)
    assert "val AP 0.833 (best 0.900 after head warm-up)" in epoch_line(ROW, 7, warmed_up)


def test_a_small_loss_is_never_written_as_zero():
    row = {**ROW, "loss": 3.2e-05, "val_loss": 0.0005}
    assert "train loss 3.2e-05  val loss 0.001" in epoch_line(row, 7, STATE)


def test_a_long_time_left_is_written_in_hours():
    row = {**ROW, "seconds": 3000.0, "val_seconds": 600.0}
    assert epoch_line(row, 4, RunState(best_epoch=2, history=[row])).endswith("3600 s  about 2:00:00 left")


def test_the_block_is_the_confusion_matrix_of_validation_at_one_half():
    assert confusion_block(ROW).splitlines() == [
        "  validation, p >= 0.5   predicted benign   predicted malignant",
        "  actual benign                         2                     1   specificity 0.667",
        "  actual malignant                      1                     1   sensitivity 0.500",
        "  predicted positive rate 40.0 %, prevalence 40.0 %",
        "  training 10 s, validation 2 s, waiting for data 5.0 %, memory peak 3,072 MB, GPU 7,168 MB",
    ]
    assert "GPU" not in confusion_block({**ROW, "device_memory_peak_mb": 0})


def messages(caplog, row, config, state):
    caplog.clear()
    with caplog.at_level(logging.INFO):
        log_epoch(row, config, state)
    return [(record.levelname, record.getMessage()) for record in caplog.records]


def test_a_healthy_epoch_warns_of_nothing_and_says_how_long_none_was_better(caplog):
    lines = messages(caplog, ROW, CONFIG, STATE)
    assert [level for level, _ in lines] == ["INFO", "INFO"]
    assert lines[1][1] == "early stopping: 1 of 5 epochs without a better average precision"
    assert len(messages(caplog, ROW, CONFIG, RunState(epoch=2, best=0.9, best_epoch=2))) == 1


@pytest.mark.parametrize(
    ("logits", "waited", "warning"),
    [
        (
            [-1.0, -4.0, -3.0, -2.0],
            0.0,
            "predicts benign for (almost) every validation image (predicted positive rate 0",
        ),
        (
            [4.0, 1.0, 2.0, 3.0],
            0.0,
            "predicts malignant for (almost) every validation image (predicted positive rate 100",
        ),
        ([-2.5, 1.0, -3.0, 2.0], 0.0, "hardly better than chance (ROC-AUC 0.333)"),
        ([1.0, -3.0, -2.0, -1.0], 2.0, "waited for data 20 % of the time"),
    ],
)
def test_each_trouble_has_its_warning_and_no_other(caplog, logits, waited, warning):
    metrics = validation_metrics(np.array([1, 0, 0, 0], np.int8), np.array(logits), 0.5)
    row = history_row(1, 1e-3, 0.5, metrics, Cost(images=10, seconds=10.0, waited=waited))
    ((_, text),) = [one for one in messages(caplog, row, CONFIG, STATE) if one[0] == "WARNING"]
    assert warning in text


def test_what_a_person_sees_of_an_epoch_is_its_validation_the_best_and_the_time_left():
    better = RunState(best=ROW["val_average_precision"], best_epoch=2, history=[ROW])
    assert shown_line(ROW, 12, better) == "epoch 2/12  val AP 0.833 (best)  2:00 left"
    assert shown_line(ROW, 7, STATE) == "epoch 2/7  val AP 0.833 (best 0.900)  1:00 left"
    assert shown_line(ROW, 2, STATE) == "epoch 2/2  val AP 0.833 (best 0.900)"
