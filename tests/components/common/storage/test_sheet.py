"""Tables come as spreadsheets leave them; what is not a table is refused, saying what it is and which row."""

import gzip
import io

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.common.runtime.errors import DataError
from components.common.storage.sheet import sheet_of


@pytest.fixture
def read():
    def call(text, name="table.csv"):
        return sheet_of(name, text if isinstance(text, bytes) else text.encode())

    return call


PLAIN = "image_id,dx\na,nv\nb,mel\n"


@pytest.mark.parametrize(
    "data",
    [
        PLAIN,
        PLAIN.replace(",", ";"),
        PLAIN.replace(",", "\t"),
        PLAIN.replace(",", "|"),
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("\n", "\r"),
        PLAIN.rstrip("\n"),
        "sep=,\n" + PLAIN,
        "sep=;\r\n" + PLAIN.replace(",", ";"),
        '"sep=;"\r\n' + PLAIN.replace(",", ";"),
        "sep=#\n" + PLAIN.replace(",", "#"),
        b"\xef\xbb\xbf" + PLAIN.encode(),
        PLAIN.encode("utf-16"),
        PLAIN.replace(",", "\t").encode("utf-16"),
        PLAIN.encode("utf-16-le"),
        PLAIN.encode("utf-16-be"),
        " image_id , dx \n a , nv \n b , mel \n",
        '"image_id","dx"\n"a","nv"\n"b","mel"\n',
        "image_id,dx,,\na,nv,,\nb,mel,,\n",
        "image_id,dx,Unnamed: 2\na,nv,\nb,mel,\n",
        ",image_id,dx\n0,a,nv\n1,b,mel\n",
        "Unnamed: 0,image_id,dx\n7,a,nv\n9,b,mel\n",
        PLAIN + "\n\n",
        PLAIN + ",\n,\n",
        "\n\n" + PLAIN,
        "image_id,dx\na,nv\n  \nb,mel\n",
        "image_id,dx,,\na,nv\nb,mel,,,\n",
        'image_id,dx\n"a",nv\n# a remark, with "quotes", and commas\nb,mel\n',
        '"image_id","dx"\n"1","a","nv"\n"2","b","mel"\n',
    ],
)
def test_a_table_is_read_whatever_a_spreadsheet_made_of_it(read, data):
    sheet = read(data)
    assert sheet.header == ["image_id", "dx"]
    assert sheet.cells.to_numpy().tolist() == [["a", "nv"], ["b", "mel"]]


def test_rows_are_counted_as_a_spreadsheet_counts_them(read):
    assert read(PLAIN).rows.tolist() == [2, 3]
    assert read("sep=,\n" + PLAIN).rows.tolist() == [3, 4]
    assert read("image_id,dx\n\na,nv\n,\n\nb,mel\n").rows.tolist() == [3, 6]
    assert read('image_id,dx\na,"n\nv"\nb,mel\n').rows.tolist() == [2, 3]
    assert read("image_id,dx\r\n\r\na,nv\r\n").rows.tolist() == [3]


def test_cells_keep_their_text(read):
    cells = read('image_id,dx\n007,NA\nb,"two\nlines, ""quoted"""\nc,1.50\n').cells
    assert cells.to_numpy().tolist() == [["007", "NA"], ["b", 'two\nlines, "quoted"'], ["c", "1.50"]]


def test_an_index_that_is_left_out_is_noted(read):
    assert read(",image_id,dx\n0,a,nv\n").notes == ["the first column has no name and counts the rows; it is left out"]


def test_an_excel_workbook_is_read_like_its_csv(read):
    pytest.importorskip("openpyxl", reason="the extra `excel` is not installed")
    buffer = io.BytesIO()
    pd.DataFrame({"image_id": ["a", "b"], "age": [45, None], "dx": ["nv", "mel"]}).to_excel(buffer, index=False)
    sheet = read(buffer.getvalue(), "table.xlsx")
    assert sheet.header == ["image_id", "age", "dx"]
    assert sheet.cells.to_numpy().tolist() == [["a", "45", "nv"], ["b", "", "mel"]]
    assert sheet.rows.tolist() == [2, 3]


def test_without_the_extra_a_workbook_is_refused_in_one_line(read, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "openpyxl", None)
    with pytest.raises(DataError, match=r"an Excel workbook .* pip install 'lesionflow\[excel\]', or export the sheet"):
        read(b"PK\x03\x04\x00\x00")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("", "the file is empty"),
        (b"\xef\xbb\xbf", "the file is empty"),
        (" \n \n", "the file is empty"),
        (gzip.compress(PLAIN.encode(), mtime=0), "this is a gzip archive; unpack it"),
        (b"\xd0\xcf\x11\xe0" + bytes(50), "an Excel workbook in the old format; save it as .xlsx or CSV"),
        (b"PAR1\x15\x04", "this is Parquet; export it as CSV"),
        (b"\n<!DOCTYPE html><html>Sign in</html>", "this is a web page; download the file itself"),
        (b'<?xml version="1.0"?><Error/>', "this is XML"),
        (b'{"error": 403}', "this is JSON"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer, not the file itself; run `git lfs pull`"),
        ("image_id,dx\na,nv,mel\n", "row 2 has 3 values, the header has 2"),
        ("image_id,dx\n\na\n", "row 3 has 1 value, the header has 2"),
        ("image_id,dx,age\na,nv,4\nb,mel\n", "row 3 has 2 values, the header has 3"),
        ('image_id,dx\n"a,nv\n', "row 2 is not CSV"),
        ('image_id,dx\na,"n"v\n', "row 2 is not CSV"),
        (b"image_id,dx\na,\x81\x9d\n", "row 2 is not UTF-8"),
        ((PLAIN + "c,r\u00fcck\nd,").encode() + b"\xfcx\n", "row 5 is not UTF-8"),
        (b"image_id,dx\na,\x00\n", "row 2 holds a zero byte"),
        ("image_id,dx,DX\na,nv,nv\nb,nv,mel\n", "column 'dx' occurs more than once, and differs from row 3 on"),
        ("image_id,dx,\na,nv,\nb,nv,x\n", "column 3 has no name, but holds values, the first in row 3: 'x'"),
        ('"image_id\ax",dx\na,nv\n', "the name of column 1 holds line breaks or control characters ('image_id\\x07x')"),
        ('image_id,dx\na,"' + "x" * 140_000 + '"\n', "row 2 is not CSV (field larger than field limit"),
    ],
)
def test_what_is_not_a_table_is_refused_by_row(read, data, message):
    with pytest.raises(DataError) as caught:
        read(data)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


CELL = st.text(st.characters(codec="utf-8", exclude_characters="\0\u200b\u2060\ufeff\xad"), max_size=8)


@given(st.lists(st.lists(CELL, min_size=2, max_size=2), min_size=1, max_size=5))
@settings(max_examples=150, deadline=None)
def test_any_cells_come_back_from_a_quoted_table(rows):
    text = pd.DataFrame(rows, columns=["one", "two"]).to_csv(index=False, quoting=1)
    expected = [[cell.strip() for cell in row] for row in rows]
    expected = [row for row in expected if any(row) and row != ["one", "two"]]
    if not expected:
        return
    cells = sheet_of("quoted.csv", text.encode()).cells.to_numpy().tolist()
    clean = [[cell.replace("\r\n", "\n").replace("\r", "\n") for cell in row] for row in expected]
    assert [[cell.replace("\r\n", "\n").replace("\r", "\n") for cell in row] for row in cells] == clean
