import hashlib
import json
from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.common.artifacts.index import COLUMNS as INDEX
from components.common.artifacts.split import (
    COLUMNS,
    SPLITS,
    Groups,
    SplitRecord,
    read_record,
    read_split,
    split_digest,
    write_split,
)
from components.common.runtime.errors import ArtifactError

RECORD = SplitRecord("stratified", 7, "f" * 64, {"train": {"images": 2}}, roots=[{"uri": "gs://b", "images": 3}])
NAMES = ["007", "7", "im,1", 'im"2"', "größe", "画像", "NA", "null", " im", "x" * 40]
ids = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), min_size=1, max_size=4)


@pytest.fixture(scope="module")
def make(kit):
    """Rows of an index, one image per name."""

    def rows(names):
        table = pd.DataFrame(dict.fromkeys(("image_id", "lesion_id", "group_id"), names))
        return kit.whole_index(table.assign(verdict="ok"))

    return rows


def turns(n):
    return [SPLITS[i % 3] for i in range(n)]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ids, min_size=1, max_size=12, unique=True))
def test_any_ids_come_back(make, tmp_path_factory, names):
    folder = tmp_path_factory.mktemp("split")
    write_split(folder, make(names), pd.Series(turns(len(names))), RECORD)
    rows = read_split(folder).rows
    assert rows["image_id"].tolist() == rows["group_id"].tolist() == names
    assert rows["split"].tolist() == turns(len(names))


def test_what_is_written_is_what_is_read(make, tmp_path):
    index = make(NAMES).assign(thumbnail=b"picture", patient="p")
    index.loc[3, ["label", "verdict", "dx", "age"]] = [1, "missing", "mel", 41.5]
    write_split(tmp_path, index, pd.Series(turns(9), [8, 7, 6, 5, 4, 3, 2, 1, 0]), RECORD)
    split = read_split(tmp_path)
    digest = split_digest(split.rows["image_id"], split.rows["split"])
    assert split.record == read_record(tmp_path) == replace(RECORD, sha256=digest)
    assert split.rows["image_id"].tolist() == NAMES[8::-1]  # the tenth has no split
    assert list(split.rows) == [*COLUMNS, *(name for name in INDEX if name not in COLUMNS), "patient"]
    test = split.part("test")
    assert test["image_id"].tolist() == NAMES[6::-3]
    assert test.loc[1, ["label", "dx", "age"]].tolist() == [1, "mel", 41.5]
    assert split.usable("test")["image_id"].tolist() == [NAMES[6], NAMES[0]]


def test_only_the_columns_asked_for_are_read(make, tmp_path):
    write_split(tmp_path, make(NAMES), pd.Series(turns(10)), RECORD)
    assert list(read_split(tmp_path, ["dx", "label"]).rows) == [*COLUMNS, "dx"]


def test_only_what_needs_quotes_has_them(make, tmp_path):
    write_split(tmp_path, make(["a", 'b,"c"']), pd.Series(turns(2)), RECORD)
    assert (tmp_path / "split.csv").read_bytes() == (
        b'image_id,lesion_id,group_id,label,split\na,a,a,0,train\n"b,""c""","b,""c""","b,""c""",0,val\n'
    )


@given(st.lists(st.text("abcäß漢😀\ue000z", min_size=1, max_size=4), min_size=1, max_size=12, unique=True), st.data())
def test_the_digest_is_of_the_sorted_ids(names, data):
    split = dict(zip(names, turns(len(names)), strict=True))
    lines = "".join(f"{name},{split[name]}\n" for name in sorted(names))
    shuffled = pd.Series(data.draw(st.permutations(names)))
    expected = hashlib.sha256(f"image_id,split\n{lines}".encode()).hexdigest()
    assert split_digest(shuffled, shuffled.map(split)) == expected


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("image_id,split\na,test\n", r"split.csv: no column lesion_id; expected image_id, lesion_id, group_id"),
        ("image_id,lesion_id,group_id,label,split\na,a,a,0,holdout\n", r"image a has split holdout; expected one of"),
        ("image_id,lesion_id,group_id,label,split\na,a,a,-1,test\n", r"image a has label -1; expected one of 0, 1"),
        ("image_id,lesion_id,group_id,label,split\na,a,a,x,test\n", r"not readable as the table of a split"),
        (
            "image_id,lesion_id,group_id,label,split\na,a,a,10000,test\n",
            r"image a has label 10000; expected one of 0, 1",
        ),
        (f"image_id,lesion_id,group_id,label,split\na,a,a,{'9' * 400},test\n", r"not readable as the table of a split"),
        ("image_id,lesion_id,group_id,label,split\nc,a,a,0,test\n", r"image c is in split.csv and not in index"),
        ("image_id,lesion_id,group_id,label,split\n" + 2 * "a,a,a,0,test\n", r"split.csv: image a is listed twice"),
    ],
)
def test_a_table_that_contradicts_itself_is_named(make, tmp_path, table, words):
    write_split(tmp_path, make(["a", "b"]), pd.Series(turns(2)), RECORD)
    (tmp_path / "split.csv").write_text(table)
    with pytest.raises(ArtifactError, match=words):
        read_split(tmp_path)


def test_a_table_that_is_not_the_one_of_the_record_is_refused(make, tmp_path):
    write_split(tmp_path, make(["a", "b"]), pd.Series(turns(2)), RECORD)
    path = tmp_path / "split.csv"
    path.write_text(path.read_text().replace("b,b,b,0,val", "b,b,b,0,train"))
    with pytest.raises(ArtifactError, match=r"split.csv: its digest is \w+, split.json says '\w+'; split again"):
        read_split(tmp_path)


def test_an_index_that_lists_an_image_twice_is_named(make, tmp_path):
    write_split(tmp_path, make(["a", "b", "b"]), pd.Series(turns(2)), RECORD)
    with pytest.raises(ArtifactError, match=r"index.parquet: image b is listed twice, expected one row per image"):
        read_split(tmp_path)


def test_a_record_without_a_field_is_named(make, tmp_path):
    write_split(tmp_path, make(["a"]), pd.Series(turns(1)), RECORD)
    record = json.loads((tmp_path / "split.json").read_text())
    del record["audit"]
    (tmp_path / "split.json").write_text(json.dumps(record))
    with pytest.raises(ArtifactError, match=r"split.json: audit: missing; split again"):
        read_split(tmp_path)


@pytest.mark.parametrize(
    ("joined_by", "unit"),
    [
        (["lesion", "near-duplicate"], "lesions"),
        (["lesion", "patient", "near-duplicate"], "patients"),
        (["lesion", "patient", "family"], "groups"),
    ],
)
def test_a_reader_is_told_what_a_group_is(joined_by, unit):
    assert Groups(joined_by=joined_by).unit == unit
