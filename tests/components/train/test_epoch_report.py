import csv
import io
import logging

import numpy as np

from components.train.epoch_report import COLUMNS, block, history_csv, history_row, log_epoch
from components.train.metrics import validation_metrics

METRICS = validation_metrics(np.array([1, 1, 0, 0, 0], np.int8), np.array([2.0, -1.0, 1.0, -2.0, -3.0]))
ROW = history_row(2, 4e-4, 0.5, METRICS, images=640, seconds=10.0, waited=0.5, peak=3 * 2**30)


def test_a_row_has_every_column_and_survives_csv():
    assert tuple(ROW) == COLUMNS
    (back,) = csv.DictReader(io.StringIO(history_csv([ROW])))
    assert float(back["val_average_precision"]) == ROW["val_average_precision"]
    assert float(back["images_per_s"]) == 64.0
    assert float(back["data_wait"]) == 0.05
    assert history_csv([ROW]).count("\n") == 2


def test_the_block_shows_what_a_person_asks_for():
    text = block(ROW, epochs=7, best=0.9, best_epoch=1)
    for part in ("epoch 2 of 7", "learning rate 0.0004", "loss 0.5000", "average precision", "best 0.9000 in epoch 1",
                 "ROC-AUC", "sensitivity 0.500", "specificity 0.667", "prevalence 40.0%", "said malignant 40.0%",
                 "64.0 images/s", "data wait 5.0%", "memory peak 3,072 MB"):  # fmt: skip
        assert part in text
    rows = [line.split() for line in text.splitlines()]
    assert ["benign", "2", "1", "specificity", "0.667"] in rows
    assert ["malignant", "1", "1", "sensitivity", "0.500"] in rows


def test_one_class_and_slow_feeds_are_warned_about(caplog):
    one = validation_metrics(np.array([1, 0, 0, 0], np.int8), np.array([-4.0, -3.0, -2.0, -1.0]))
    row = history_row(1, 1e-3, 0.5, one, images=10, seconds=10.0, waited=2.0, peak=1)
    with caplog.at_level(logging.INFO):
        log_epoch(row, 5, 0.3, 1)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert any("called benign" in text for text in warnings)
    assert any("waited for data 20 %" in text for text in warnings)
    caplog.clear()
    with caplog.at_level(logging.INFO):
        log_epoch(ROW, 5, 0.3, 1)
    assert [record.levelno for record in caplog.records] == [logging.INFO]
