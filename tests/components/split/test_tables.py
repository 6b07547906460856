import csv
import hashlib

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.common.runtime.errors import ArtifactError, DataError
from components.split.division import Division
from components.split.tables import (
    ids_digest,
    read_index,
    split_digest,
    usable,
    with_groups,
    write_csv,
    write_index,
    write_split_csv,
)

ids = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), min_size=1, max_size=4)


def texts(values, cut=2):
    return pa.chunked_array([values[:cut], values[cut:]], pa.large_string())


def division(names):
    column = texts(names)
    rows = pa.table({"image_id": column, "lesion_id": column, "group_id": column, "label": [0] * len(names)})
    return Division(rows, (np.arange(len(names)) % 3).astype(np.int8))


@pytest.fixture
def saved(tmp_path, rows):
    def save(**changes):
        table = rows(40).assign(**changes)
        table.to_parquet(tmp_path / "index.parquet", index=False)
        return table

    return save


def test_an_index_is_read_in_types_that_hold_any_amount(saved, tmp_path):
    table = saved(thumbnail=b"x")
    read = read_index(tmp_path)
    assert read["image_id"].to_pylist() == table["image_id"].tolist()
    assert read.schema.field("dx").type == pa.large_string()
    assert read.schema.field("thumbnail").type == pa.large_binary()
    assert read.schema.metadata is None


@pytest.mark.parametrize("name", ["image_id", "lesion_id", "group_id"])
def test_a_missing_id_is_refused(saved, tmp_path, rows, name):
    saved(**{name: [None, None, *rows(40)[name][2:]]})
    with pytest.raises(ArtifactError, match=rf"2 of \d+ rows have no {name}; make the index again"):
        read_index(tmp_path)


def test_what_is_written_is_what_pandas_would_write(tmp_path):
    table = pa.table(
        {
            "image_id": texts(["a", "b", "c"]), "gone": texts([None, None, None]),
            "whole": pa.array([1, 2, 3], pa.int8()), "gaps": pa.array([1, None, 3], pa.int32()),
            "age": pa.array([1.5, float("nan"), None]), "years": pa.array([1.0, 2.0, 3.0]),
            "thumbnail": pa.array([b"", b"x", None], pa.large_binary()),
        }
    )  # fmt: skip
    write_index(tmp_path / "ours.parquet", table)
    table.to_pandas().drop(columns="thumbnail").to_parquet(tmp_path / "pandas.parquet", index=False)
    ours, theirs = (pq.read_table(tmp_path / f"{name}.parquet") for name in ("ours", "pandas"))
    assert ours.schema.equals(theirs.schema)
    assert ours.equals(theirs)
    frames = [pd.read_parquet(tmp_path / f"{name}.parquet") for name in ("ours", "pandas")]
    pd.testing.assert_frame_equal(*frames)


def test_rows_without_a_label_cannot_be_divided():
    verdicts = ["ok", "missing", "unknown_diagnosis", "conflicting_diagnosis", "excluded_diagnosis", "ok", "ok", None]
    table = pa.table({"image_id": texts(list("abcdefgh")), "verdict": texts(verdicts),
                      "label": pa.array([0, 1, 1, 0, 1, -1, None, 1], pa.int8())})  # fmt: skip
    assert usable(table).tolist() == [True, True, False, False, False, False, False, True]


@given(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=12))
def test_an_image_twice_is_named_where_it_comes_again(names):
    table = pa.table({"image_id": texts(names), "verdict": texts(["ok"] * len(names)), "label": [0] * len(names)})
    again = [one for i, one in enumerate(names) if one in names[:i]]
    if not again:
        assert usable(table).all()
        return
    with pytest.raises(DataError, match=rf"^image_id {again[0]} is in .* more than once \({len(again)} such rows\)"):
        usable(table)


@given(st.lists(st.booleans(), min_size=1, max_size=10))
def test_final_groups_come_back_to_their_rows(used):
    old = [f"old{i}" for i in range(len(used))]
    new = [f"new{i}" for i in range(len(used)) if used[i]]
    table = pa.table({"image_id": texts(old), "group_id": texts(old), "label": [0] * len(used)})
    whole = with_groups(table, np.array(used), texts(new))
    assert whole.column_names == table.column_names
    assert whole["group_id"].to_pylist() == [f"new{i}" if one else f"old{i}" for i, one in enumerate(used)]


@settings(deadline=None)
@given(st.lists(ids, min_size=1, max_size=12))
def test_any_ids_come_back_from_the_csv(tmp_path_factory, names):
    path = tmp_path_factory.mktemp("csv") / "split.csv"
    write_split_csv(path, division(names))
    with path.open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    assert [(row["image_id"], row["group_id"]) for row in rows] == [(one, one) for one in names]
    assert [row["split"] for row in rows] == [("train", "val", "test")[i % 3] for i in range(len(names))]


def test_only_what_needs_quotes_has_them(tmp_path):
    write_csv(tmp_path / "a.csv", {"image_id": texts(["a", 'b,"c"']), "fold": pa.array([0, 1])})
    assert (tmp_path / "a.csv").read_bytes() == b'image_id,fold\na,0\n"b,""c""",1\n'


@settings(deadline=None)
@given(st.lists(st.text("abcäß漢😀\ue000z", min_size=1, max_size=4), min_size=1, max_size=12, unique=True), st.data())
def test_digests_are_of_the_sorted_ids(names, data):
    one = division(names)
    split = dict(zip(names, one.split_names().to_pylist(), strict=True))
    lines = "".join(f"{name},{split[name]}\n" for name in sorted(names))
    assert split_digest(one) == hashlib.sha256(f"image_id,split\n{lines}".encode()).hexdigest()
    listed = "".join(f"{name}\n" for name in sorted(names)).encode()
    assert ids_digest(one.rows["image_id"]) == hashlib.sha256(listed).hexdigest()
    order = np.array(data.draw(st.permutations(range(len(names)))))
    shuffled = Division(one.rows.take(pa.array(order)), one.code[order])
    assert split_digest(shuffled) == split_digest(one)
