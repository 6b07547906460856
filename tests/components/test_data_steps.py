"""Ingest, split and records one after another as KFP calls them, for every recipe a person can ask for."""

import json

import cv2
import numpy as np
import pandas as pd
import pytest
from kfp import dsl

from components.common.imaging.pixels import encode_jpeg
from components.common.runtime.errors import DataError
from components.ingest.component import ingest
from components.records.component import records
from components.records.verify import verify
from components.split.component import split

DX = ("nv", "nv", "mel", "nv", "bkl", "bcc")


def picture(seed):
    noise = np.random.default_rng(seed)
    field = cv2.resize(noise.uniform(40, 220, (7, 9, 3)).astype(np.float32), (80, 60))
    return np.clip(field + noise.normal(0, 5, field.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    """120 images of 90 lesions, a split of one's own, and lesion 3's picture again, turned, as a lesion of its own."""
    folder = tmp_path_factory.mktemp("collection")
    (folder / "images").mkdir()
    rows = []
    for i in range(120):
        lesion = i if i < 90 else i - 90
        mine = ("train", "validation", "Test")[lesion // 6 % 3]
        rows.append([f"L{lesion}", f"im{i}", DX[lesion % 6], (30.0, 55.0, 70.0, "")[i % 4], ("male", "female")[i % 2],
                     ("back", "face")[i % 2], "abc"[i % 3], mine])  # fmt: skip
        (folder / "images" / f"im{i}.jpg").write_bytes(encode_jpeg(picture(i), 90))
    rows.append(["L3-again", "turned", DX[3], 30.0, "male", "back", "a", "train"])
    (folder / "images" / "turned.jpg").write_bytes(encode_jpeg(np.rot90(picture(3)), 85))
    columns = ["lesion_id", "image_id", "dx", "age", "sex", "localization", "dataset", "My Split"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "table.csv", index=False)
    return folder


def artifact(kind, path):
    return kind(uri=str(path))


def sources(table, collection):
    return {"metadata": str(table), "images": [str(collection / "images")]}


@pytest.fixture(scope="module")
def index(collection):
    out = artifact(dsl.Dataset, collection / "index")
    metrics = artifact(dsl.Metrics, collection / "ingest-metrics")
    ingest.python_func(sources(collection / "table.csv", collection), out, metrics)
    assert metrics.metadata["ok"] == 121
    return out


def run_on(index, folder, recipe):
    parts, made = artifact(dsl.Dataset, folder / "split"), artifact(dsl.Dataset, folder / "records")
    sheet, metrics = artifact(dsl.HTML, folder / "sheet.html"), artifact(dsl.Metrics, folder / "m1")
    split.python_func(index, {"recipe": recipe, "seed": 1}, parts, sheet, metrics)
    metrics = artifact(dsl.Metrics, folder / "m2")
    records.python_func(parts, {"record_size": 30, "max_lost_pct": 0.0}, made, metrics)
    return json.loads((folder / "split" / "split.json").read_text()), metrics.metadata


@pytest.mark.parametrize("recipe", ["stratified", "kfold:3", "kfold:4:3", "column:My Split"])
def test_every_recipe_ends_in_an_audit_and_whole_records(index, tmp_path, recipe):
    record, metrics = run_on(index, tmp_path, recipe)
    audit = record["audit"]
    assert audit["leaked_groups"] == 0
    assert (audit["near_duplicates"]["pairs"], audit["near_duplicates"]["between_lesions"]) == (1, 1)
    assert audit["near_duplicates"]["crossing_pairs"] == []
    assert audit["tables"].keys() == {"dx", "sex", "site", "source", "age"}
    for table in audit["tables"].values():
        for name in ("train", "val", "test"):
            assert sum(value[name]["images"] for value in table.values()) == record["counts"][name]["images"]
    made = pd.read_csv(tmp_path / "split" / "split.csv")
    assert made.groupby("group_id")["split"].nunique().max() == 1
    assert made.set_index("image_id").loc[["im3", "turned"], "split"].nunique() == 1
    assert sum(metrics[f"{name}_found"] for name in ("train", "val", "test")) == verify(tmp_path / "records") == 121
    assert metrics["lost_pct"] == 0.0


def test_the_folds_of_a_recipe_are_each_test_once(index, tmp_path):
    seen = []
    for fold in range(3):
        run_on(index, tmp_path / str(fold), f"kfold:3:{fold}")
        made = pd.read_csv(tmp_path / str(fold) / "split" / "split.csv")
        seen += made.loc[made["split"] == "test", "image_id"].tolist()
    assert sorted(seen) == sorted(made["image_id"])


def test_a_picture_that_ones_own_split_trains_on_and_tests_on_stops_the_run(index, collection, tmp_path):
    table = pd.read_parquet(collection / "index" / "index.parquet")
    assert table.set_index("image_id").loc["turned", "my split"] == "train"
    text = (
        (collection / "table.csv")
        .read_text()
        .replace("L3-again,turned,nv,30.0,male,back,a,train", "LX,turned,nv,30.0,male,back,a,test")
    )
    (tmp_path / "table.csv").write_text(text)
    out = artifact(dsl.Dataset, tmp_path / "index")
    ingest.python_func(sources(tmp_path / "table.csv", collection), out, artifact(dsl.Metrics, tmp_path / "m"))
    with pytest.raises(DataError, match=r"^group L3 is in train, test at once \(1 such groups\)"):
        run_on(out, tmp_path, "column:My Split")
    assert not (tmp_path / "split").exists()
