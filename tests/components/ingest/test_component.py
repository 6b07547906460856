"""The KFP interface runs the real step."""

import json

import pytest
from kfp import dsl

from components.common.runtime.errors import DataError
from components.ingest.component import ingest


def call(collection, tmp_path, **more):
    index = dsl.Dataset(name="index", uri=str(tmp_path / "index"))
    metrics = dsl.Metrics(name="metrics", uri=str(tmp_path / "metrics"))
    config = {"metadata": collection.table, "images": [collection.root], **more}
    ingest.python_func(config=config, index=index, metrics=metrics)
    return index, metrics


def test_the_component_writes_the_index_and_logs_plain_numbers(collection, tmp_path):
    collection.file(0).unlink()
    index, metrics = call(collection, tmp_path, max_lost_pct=50.0)
    assert json.loads((tmp_path / "index" / "ingest.json").read_text())["lost"] == 1
    assert metrics.metadata == {"rows": 8, "ok": 7, "lost": 1, "malignant": 4, "verdict_missing": 1}
    assert all(type(value) in (int, float) for value in metrics.metadata.values())
    assert index.path == str(tmp_path / "index")


def test_too_much_loss_fails_the_task(collection, tmp_path):
    collection.file(0).unlink()
    with pytest.raises(DataError, match="max_lost_pct"):
        call(collection, tmp_path)
