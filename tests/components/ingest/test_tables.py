"""Every known table is read alike; every fault is named by row, column and value."""

import gzip
import math

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.common.runtime.errors import DataError
from components.ingest.columns import RESERVED
from components.ingest.labels import load_label_policy
from components.ingest.tables import read_table
from components.ingest.verdicts import labels_of, row_verdicts

HAM = "lesion_id,image_id,dx,dx_type,age,sex,localization,dataset\n"


@pytest.fixture
def read(tmp_path):
    def call(text, name="table.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_table(str(path))

    return call


def test_ham10000_columns_are_read(read):
    table, notes = read(HAM + "L1,a,mel,histo,80.0,male,scalp,vidir\nL1,b,mel,histo,,female,unknown,vidir\n")
    assert notes == []
    assert table["image_id"] == ["a", "b"]
    assert table["lesion_id"] == ["L1", "L1"]
    assert table["age"][0] == 80.0 and math.isnan(table["age"][1])
    assert table["sex"] == ["male", "female"]
    assert table["malignant_label"] == [-1, -1]
    assert table["row"] == [2, 3]


def test_the_older_download_without_dataset_is_read(read):
    table, _ = read("lesion_id,image_id,dx,dx_type,age,sex,localization\nL1,a,NV,histo,5,Male,Back\n")
    assert [table[name] for name in ("dx", "sex", "localization", "dataset")] == [["nv"], ["male"], ["back"], [""]]


def test_isic_2019_is_two_tables_joined(tmp_path):
    (tmp_path / "gt.csv").write_text(
        "image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC,UNK\na,1.0,0,0,0,0,0,0,0,0\nb,0,0,0,0,0,0,0,1.0,0\n"
    )
    (tmp_path / "meta.csv").write_text(
        "image,age_approx,anatom_site_general,lesion_id,sex\nb,55,head/neck,L2,f\nc,1,,,\na,,anterior torso,,male\n"
    )
    table, _ = read_table(f"{tmp_path / 'gt.csv'},{tmp_path / 'meta.csv'}")
    assert table["image_id"] == ["a", "b"]
    assert table["dx"] == ["mel", "scc"]
    assert table["lesion_id"] == ["a", "L2"]
    assert table["localization"] == ["anterior torso", "head/neck"]
    assert table["sex"] == ["male", "female"]
    (tmp_path / "meta.csv").write_text("image,sex\na,male\n")
    with pytest.raises(DataError, match="no row for image b"):
        read_table(f"{tmp_path / 'gt.csv'},{tmp_path / 'meta.csv'}")


@pytest.mark.parametrize("values", ["0\nb,1", "0.0\nb,1.0", "benign\nb,Malignant"])
def test_plain_labels_speak_for_themselves(read, values):
    table, _ = read(f"image_id,label\na,{values}\n")
    assert table["malignant_label"] == [0, 1]
    assert table["dx"] == ["benign", "malignant"]
    assert table["lesion_id"] == ["a", "b"]


def test_plain_codes_are_left_to_the_policy(read):
    table, _ = read("image_id,label,lesion_id\na,mel,L\nb,nv,L\n")
    assert table["malignant_label"] == [-1, -1]
    assert table["dx"] == ["mel", "nv"]


def test_further_columns_are_carried_as_text_under_free_names(read):
    table, _ = read("image_id,dx,fold,Uri\na,nv,007,x\n")
    assert table["fold"] == ["007"]
    assert table["table_uri"] == ["x"]
    assert not RESERVED & (table.keys() - {"malignant_label", "row"})


@pytest.mark.parametrize("header", ["uri,table_uri", "table_uri,uri"])
def test_no_column_takes_the_place_of_another(read, header):
    table, _ = read(f"image_id,dx,{header}\na,nv,1,2\n")
    assert sorted(table[name] for name in table if name.startswith("table_")) == [["1"], ["2"]]


def test_suffix_spaces_bom_and_line_ends_are_forgiven(read):
    table, _ = read(b"\xef\xbb\xbfimage_id,dx\r\n a.JPG , nv \r\nb.png,mel\r\n\r\n")
    assert table["image_id"] == ["a", "b"]
    assert table["dx"] == ["nv", "mel"]


@pytest.mark.parametrize(
    "bad", ["../../etc/passwd", "a/b", "a\\b", "..", "a..b", ".hidden", "", "a\tb", "x" * 201, "*", "gs://b/c", "a\nb"]
)
def test_an_id_that_is_no_plain_name_is_refused(read, bad):
    quoted = '"' + bad + '"'
    with pytest.raises(DataError, match="column image_id") as caught:
        read(f"image_id,dx\nok,nv\n{quoted},nv\n")
    assert "row 3, column image_id: received" in str(caught.value)
    assert "a plain file name without folders" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HAM + "L,a,nv,histo,121,male,back,x\n", "age: received '121'; expected a number of years from 0 to 120"),
        (HAM + "L,a,nv,histo,-1,male,back,x\n", "row 2, column age: received '-1'"),
        (HAM + "L,a,nv,histo,old,male,back,x\n", "row 2, column age: received 'old'"),
        (HAM + "L,a,nv,histo,inf,male,back,x\n", "row 2, column age: received 'inf'"),
        ("image_id,dx\na,nv\nb,nv\na,mel\n", "row 4, column image_id: received 'a (also row 2)'; expected each image"),
        ("image,dx\na.jpg,nv\na.png,nv\n", "row 3, column image: received 'a (also row 2)'"),
        ("image_id,dx\na,nv,mel\n", "row 2 has 3 values, the header has 2"),
        ("image_id,dx\n\"a,nv\n", "row 2 is not CSV"),
        ("image_id,dx\n", "no rows below the header"),
        ("", "the file is empty"),
        ("image_id;dx\na;nv\n", "not divided by commas"),
        ("name,dx\na,nv\n", "no column names the image; received name, dx"),
        ("image_id,age\na,3\n", "no column holds a diagnosis"),
        ("image_id,dx,DX\na,nv,nv\n", "column 'dx' is there more than once"),
        ("image,MEL,NV\na,1,0\nb,1,1\n", "row 3, column MEL/NV: received '1,1'; expected exactly one 1 and zeros"),
        ("image,MEL,NV\na,0,0\n", "row 2, column MEL/NV: received '0,0'"),
        ("image,MEL,NV\na,0.5,0.5\n", "row 2, column MEL/NV: received '0.5,0.5'"),
        (b"image_id,dx\na,\xff\xfe\n", "row 2 is not UTF-8"),
        (b"image_id,dx\na,\x00\n", "row 2 holds a zero byte"),
        (gzip.compress(b"image_id,dx\na,nv\n"), "this is gzip; unpack it; expected the metadata table as CSV text"),
        (b"PK\x03\x04\x00\x00", "this is an Excel workbook or a zip; export the sheet as CSV"),
        ("image_id,dx\na,nv\n".encode("utf-16"), "this is UTF-16 text; save it as UTF-8"),
        (b"PAR1\x15\x04", "this is Parquet; export it as CSV"),
        (b"<!DOCTYPE html><html>Sign in</html>", "this is a web page; download the file itself"),
        ("image_id,dx\na,nv\n".encode("utf-8-sig") + "b,r\u00fcck\n".encode("latin-1"), "row 3 is not UTF-8"),
        (b"\xef\xbb\xbf", "the file is empty"),
        (" \n \n", "the file is empty"),
        ("image_id\tdx\na\tnv\n", "not divided by commas but by tabs"),
        ("image_id|dx\na|nv\n", "not divided by commas but by bars"),
        ('image_id;dx;age\na;nv;"45,5"\n', "not divided by commas but by semicolons ('image_id;dx;age')"),
        ('image_id,dx,age\na,nv,"45,5"\n', "row 2, column age: received '45,5'"),
        ("image_id,dx,age\na,nv,1_0\n", "row 2, column age: received '1_0'"),
        ("image_id,dx,age\na,nv,nan\nb,nv,120.5\n", "row 3, column age: received '120.5'"),
        ("image_id,dx\na,nv\n\nb,mel\n", "row 3 has 0 values, the header has 2"),
        ('image_id,dx\na,"' + "x" * 140_000 + '"\n', "row 2 is not CSV (field larger than field limit"),
        ('image_id,dx,lesion_id\na,nv,"L\n1"\n', "row 2, column lesion_id: received 'L\\n1'; expected text without"),
        ("image_id,dx,lesion_id\na,nv,L\u202e1\n", "row 2, column lesion_id: received 'L\\u202e1'"),
        ('"image_id\nx",dx\na,nv\n', "the name of column 1 holds line breaks or control characters ('image_id\\nx')"),
        (",".join(f"c{i}" for i in range(99)) + "\n" + "," * 98 + "\nx" + "," * 98 + "\n", "c19 and 79 more; expected"),
        ("a,nv\nb,mel\n", "no column names the image; received a, nv"),
    ],
)  # fmt: skip
def test_a_fault_is_named_by_row_column_and_value(read, text, message):
    with pytest.raises(DataError) as caught:
        read(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("column", ["lesion_id", "dx", "dx_type", "sex", "localization", "dataset"])
@pytest.mark.parametrize("value", ["=1+1", "+49", "-2+3|cmd", "@SUM(A1)", "  =HYPERLINK(1)"])
def test_text_that_a_spreadsheet_would_run_is_refused(read, column, value):
    with pytest.raises(DataError) as caught:
        read(f"image_id,dx,{column}\na,nv,x\nb,nv,{value}\n" if column != "dx" else f"image_id,dx\na,nv\nb,{value}\n")
    assert f"row 3, column {column}: received {value.strip()!r}; expected text without =, +, - or @" in str(
        caught.value
    )


def test_a_dash_means_nothing_and_columns_of_ones_own_are_free(read):
    table, _ = read("image_id,dx,localization,note\na,nv,-,=1+1\n")
    assert (table["localization"], table["note"]) == (["unknown"], ["=1+1"])


@pytest.mark.parametrize("word", ["", "NA", "unknown", "none", "-", "NaN"])
def test_images_without_a_lesion_id_are_not_one_lesion(read, word):
    table, _ = read(f"image_id,dx,lesion_id\na,nv,{word}\nb,mel,{word}\nc,nv,L1\n")
    assert table["lesion_id"] == ["a", "b", "L1"]


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_line_ends_of_all_systems_and_quoted_line_breaks_are_read(read, ends):
    table, _ = read(ends.join(["image_id,dx,note", 'a,nv,"two\nlines, ""quoted"""', "b,mel,x", ""]))
    assert (table["image_id"], table["dx"]) == (["a", "b"], ["nv", "mel"])
    assert table["note"] == ['two\nlines, "quoted"', "x"]


def test_a_label_that_is_missing_is_one_row_and_not_all(read):
    table, _ = read("image_id,label\na,1\nb,\nc,false\n")
    assert table["malignant_label"] == [1, -1, 0]
    assert table["dx"] == ["malignant", "", "benign"]


def test_beside_diagnoses_labels_are_only_compared(read):
    text = "image_name,diagnosis,target\na,mel,1\nb,nv,1\nc,nv,0\nd,unknown,0\n"
    table, _ = read(text)
    assert table["malignant_label"] == [-1] * 4
    policy = load_label_policy("ham10000")
    table = pd.DataFrame(table)
    verdicts, notes = row_verdicts(table, labels_of(table, policy), policy)
    assert notes == [
        "the table has diagnoses and labels; policy ham10000 decides by the diagnosis, against the table's label in "
        "1 rows, the first is b"
    ]
    assert verdicts["verdict"].tolist() == ["", "", "", "unknown_diagnosis"]
    table, _ = read("image_id,dx,label\na,mel,1\n")
    table = pd.DataFrame(table)
    assert row_verdicts(table, labels_of(table, policy), policy)[1] == [
        "the table has diagnoses and labels; policy ham10000 decides by the diagnosis"
    ]


def test_isic_2018_groupings_join_as_facts(tmp_path):
    (tmp_path / "gt.csv").write_text("image,MEL,NV,BCC,AKIEC,BKL,DF,VASC\na,0.0,1.0,0,0,0,0,0\nb,1,0,0,0,0,0,0\n")
    (tmp_path / "groups.csv").write_text("image,lesion_id,diagnosis_confirm_type\na,L1,serial imaging\nb,L2,histo\n")
    table, _ = read_table(f"{tmp_path / 'gt.csv'},{tmp_path / 'groups.csv'}")
    assert (table["dx"], table["lesion_id"]) == (["nv", "mel"], ["L1", "L2"])
    assert table["dx_type"] == ["serial imaging", "histo"]


def test_many_faults_are_counted_and_the_first_shown(read):
    rows = "".join(f"L,i{i},nv,histo,{200 + i},male,back,x\n" for i in range(9))
    with pytest.raises(DataError, match=r"row 2, column age: received '200'; row 3.*\(and 4 more rows\)"):
        read(HAM + rows)


def test_an_odd_sex_counts_as_unknown_and_is_noted(read):
    table, notes = read("image_id,dx,sex\na,nv,Male\nb,nv,diverse\nc,nv,\n")
    assert table["sex"] == ["male", "unknown", "unknown"]
    assert notes == ["column sex: 1 values are not known and count as unknown, the first in row 3: 'diverse'"]


def test_a_missing_table_is_a_clear_error(tmp_path):
    with pytest.raises(DataError, match="no such file; expected the metadata table"):
        read_table(str(tmp_path / "absent.csv"))
    with pytest.raises(DataError, match="cannot be read"):
        read_table(str(tmp_path))


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=300))
@settings(max_examples=200, deadline=None)
def test_any_text_is_read_or_refused_in_words(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    for head in ("", "image_id,dx\n", HAM):
        path.write_text(head + text, encoding="utf-8", newline="")
        try:
            table, _ = read_table(str(path))
        except DataError as error:
            assert str(path) in str(error)
        else:
            assert len(set(table["image_id"])) == len(table["image_id"]) == len(table["dx"])


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_read_or_refused_in_words(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(b"image_id,label\n" + data)
    try:
        read_table(str(path))
    except DataError as error:
        assert str(path) in str(error)
