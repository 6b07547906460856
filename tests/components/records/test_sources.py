"""What is read of a split: every image in its place, in the order that pandas gave before."""

from dataclasses import asdict

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.common.artifacts.json_file import write_json
from components.common.artifacts.split import SCHEMA, SplitRecord, split_digest
from components.records.sources import read_sources

NAMES = ["ISIC_0024306", "7", "007", "im,1", 'im"2"', "größe", "画像", "NA", "null", " im", "x" * 40]


@pytest.fixture
def folder(tmp_path):
    """The three files of a split, made of plain columns: `folder(ids, places, **index columns)`."""

    def write(ids, places, indexed=None, **columns):
        n = len(indexed := ids if indexed is None else indexed)
        table = {name: [f"{name} {one}" for one in indexed] for name in ("uri", "sha256")}
        table |= {"image_id": indexed, "dx": ["nv"] * n, "verdict": ["ok"] * n, "reason": [""] * n}
        table |= {"width": [80] * n, "height": [60] * n, "size": [9] * n, "format": ["jpeg"] * n, "channels": [3] * n}
        table |= {"orientation": [1] * n} | columns
        pq.write_table(pa.table(table), tmp_path / "index.parquet", row_group_size=5)
        label = [1 if one == "malignant" else 0 for one in ids]
        rows = {"image_id": ids, "lesion_id": [f"lesion {one}" for one in ids], "group_id": ids, "label": label}
        pd.DataFrame(rows | {"split": places}).to_csv(tmp_path / "split.csv", index=False)
        digest = split_digest(pd.Series(ids), pd.Series(places))
        write_json(tmp_path / "split.json", {"schema": SCHEMA, **asdict(SplitRecord("test", 0, digest, {}))})
        return tmp_path

    return write


def ids_of(images):
    return [one.image_id for one in images]


def test_train_is_in_the_order_of_pandas_hash_and_the_rest_in_that_of_the_file(folder):
    ids = NAMES + [f"im{i:04d}" for i in range(300)]
    sources = read_sources(
        folder(ids, ["train", "val", "train", "test"] * 77 + ["train"] * (len(ids) - 308), ids[::-1])
    )
    table = pd.read_csv(folder(ids, ["train"] * len(ids)) / "split.csv", dtype=str, keep_default_na=False)
    assert table["image_id"].tolist() == ids
    train = pd.Series([one for i, one in enumerate(ids) if i % 4 in (0, 2) or i >= 308], dtype=object)
    order = pd.util.hash_array(train.to_numpy(object), categorize=False).argsort(kind="stable")
    assert ids_of(sources["train"]) == train.iloc[order].tolist()
    assert ids_of(sources["val"]) == ids[1:308:4]
    assert ids_of(sources["test"]) == ids[3:308:4]
    assert [one.exact for name in sources for one in sources[name]] == [False] * len(train) + [True] * 77 + [False] * 77


def test_every_fact_of_an_image_comes_from_its_own_row(folder):
    made = folder(
        ["a", "malignant"],
        ["val", "val"],
        ["malignant", "c", "a"],
        width=[1, 2, 3],
        height=[4, 5, 6],
        size=[7, 8, 9],
        dx=["mel", "nv", "bkl"],
        verdict=["ok", "ok", "missing"],
        reason=["", "", "gone"],
    )
    a, b = read_sources(made)["val"]
    assert (a.label, a.width, a.height, a.size, a.dx, a.verdict, a.reason) == (0, 3, 6, 9, "bkl", "missing", "gone")
    assert (b.label, b.width, b.height, b.size, b.dx, b.verdict, b.reason) == (1, 1, 4, 7, "mel", "ok", "")
    assert (b.lesion_id, b.group_id, b.uri) == ("lesion malignant", "malignant", "uri malignant")


@pytest.mark.parametrize(
    ("facts", "plain"),
    [
        ({}, True),
        ({"format": ["JPG"]}, True),
        ({"orientation": [0]}, True),
        ({"orientation": pa.nulls(1)}, True),
        ({"format": ["png"]}, False),
        ({"channels": [1]}, False),
        ({"orientation": [6]}, False),
        ({"format": pa.nulls(1, pa.string())}, False),
        ({"channels": pa.nulls(1, pa.int8())}, False),
    ],
)
def test_only_an_upright_colour_jpeg_is_plain(folder, facts, plain):
    (one,) = read_sources(folder(["a"], ["test"], **facts))["test"]
    assert one.plain is plain


def test_what_ingest_could_not_find_out_is_empty_and_not_a_word(folder):
    nothing = {name: pa.nulls(1, pa.string()) for name in ("dx", "uri", "sha256", "reason")}
    numbers = {name: pa.nulls(1, pa.int32()) for name in ("width", "height", "size")}
    (one,) = read_sources(folder(["a"], ["test"], **nothing, **numbers))["test"]
    assert (one.dx, one.uri, one.sha256, one.reason, one.width, one.height, one.size) == ("", "", "", "", 0, 0, 0)
