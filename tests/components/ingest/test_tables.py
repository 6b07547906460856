"""Every cell is read by what its column means; every fault is named by row, column and value."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.common.artifacts.index import COLUMNS
from components.common.runtime.errors import ConfigError, DataError
from components.ingest.cells import WORKING
from components.ingest.tables import read_table

HAM = "lesion_id,image_id,dx,dx_type,age,sex,localization,dataset\n"


@pytest.fixture
def read(tmp_path):
    def call(text, columns=None):
        path = tmp_path / "table.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_table(str(path), columns)

    return call


def column(table, name):
    return table.rows[name].tolist()


def test_ham10000_columns_are_read(read):
    table = read(HAM + "L1,a,mel,histo,80.0,male,scalp,vidir\nL1,b,mel,histo,,female,unknown,vidir\n")
    assert table.notes == []
    assert column(table, "image_id") == ["a", "b"]
    assert column(table, "lesion_id") == ["L1", "L1"]
    assert column(table, "age")[0] == 80.0 and math.isnan(column(table, "age")[1])
    assert column(table, "sex") == ["male", "female"]
    assert column(table, "stated_label") == [-1, -1]
    assert column(table, "row") == [2, 3]
    assert table.rows.columns.tolist() == [
        "row", "image_id", "folder", "lesion_id", "dx", "said", "stated_label", "age", "sex", "localization",
        "dx_type", "dataset",
    ]  # fmt: skip


def test_the_older_download_without_dataset_is_read(read):
    table = read("lesion_id,image_id,dx,dx_type,age,sex,localization\nL1,a,NV,histo,5,Male,Back\n")
    shown = [column(table, name) for name in ("dx", "sex", "localization", "dataset")]
    assert shown == [["nv"], ["male"], ["back"], [""]]


@pytest.mark.parametrize(
    ("words", "labels"),
    [
        (["0", "1"], [0, 1]),
        (["0.0", "1.0"], [0, 1]),
        (["benign", "Malignant"], [0, 1]),
        (["No", "yes"], [0, 1]),
        (["negative", "POSITIVE"], [0, 1]),
        (["FALSE", "True"], [0, 1]),
        (["n", "y"], [0, 1]),
        (["benign", "-1"], [0, -1]),
        (["1", ""], [1, -1]),
        (["1", "#N/A"], [1, -1]),
        (["benign", "perhaps"], [0, -1]),
        (["Malignant::Melanoma", "Benign::Nevus"], [1, 0]),
    ],
)
def test_words_that_say_the_label_themselves(read, words, labels):
    table = read(f"image_id,label\na,{words[0]}\nb,{words[1]}\n")
    assert column(table, "stated_label") == labels


def test_plain_codes_are_left_to_the_policy(read):
    table = read("image_id,label,lesion_id\na,mel,L\nb,nv,L\n")
    assert column(table, "stated_label") == [-1, -1]
    assert column(table, "dx") == ["mel", "nv"]


def test_further_columns_are_carried_as_text_under_free_names(read):
    table = read("image_id,dx,fold,Uri,said\na,nv,007,x,y\n")
    assert column(table, "fold") == ["007"]
    assert column(table, "table_uri") == ["x"]
    assert column(table, "table_said") == ["y"]
    assert not COLUMNS.keys() & {"table_uri"} and len(set(table.rows.columns)) == len(table.rows.columns)
    assert set(WORKING) <= set(table.rows.columns)


@pytest.mark.parametrize("header", ["uri,table_uri", "table_uri,uri"])
def test_no_column_takes_the_place_of_another(read, header):
    table = read(f"image_id,dx,{header}\na,nv,1,2\n")
    assert sorted(column(table, name) for name in table.rows if name.startswith("table_")) == [["1"], ["2"]]


@pytest.mark.parametrize(
    ("text", "image_id", "folder"),
    [
        ("a", "a", ""),
        ("a.JPG", "a", ""),
        ("a.jfif", "a", ""),
        ("a.b.png", "a.b", ""),
        ("NEL/Nel028.jpg", "Nel028", "NEL"),
        ("one\\two\\a.png", "a", "one/two"),
        ("C:\\Users\\me\\a.JPG", "a", "Users/me"),
        ("d:/derm/a", "a", "derm"),
        ("\\\\server\\share\\a.png", "a", "server/share"),
        ("/home/me/a.jpg", "a", "home/me"),
        ("IMG (3) [copy].jpg", "IMG (3) [copy]", ""),
        ("la\u0308sion_1", "l\u00e4sion_1", ""),
        ("\u0939\u093f\u0928\u094d\u0926\u0940_3", "\u0939\u093f\u0928\u094d\u0926\u0940_3", ""),
    ],
)
def test_an_id_is_the_name_of_a_file(read, text, image_id, folder):
    table = read(f'image_id,dx\n"{text}",nv\n')
    assert (column(table, "image_id"), column(table, "folder")) == ([image_id], [folder])
    assert bool(folder) == any("include a folder" in note for note in table.notes)


@pytest.mark.parametrize(
    "bad",
    ["../../etc/passwd", "~/a", "a/../b", "..\\x", "..", "a..b", ".hidden", "", "a\tb", "x" * 201, "*", "gs://b/c",
     "a\nb", "C:x", "file:///x", "1.2E+11", "=a", "@a", "a?", "a/", "\N{RIGHT-TO-LEFT OVERRIDE}a"],
)  # fmt: skip
def test_an_id_that_is_not_the_name_of_a_file_is_refused(read, bad):
    with pytest.raises(DataError) as caught:
        read(f'image_id,dx\nok,nv\n"{bad}",nv\n')
    assert "row 3, column image_id: received" in str(caught.value)
    assert "a plain file name" in str(caught.value) or "shortened" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "years"),
    [
        ("45", 45),
        ("45.5", 45.5),
        ("90+", 90),
        ("85 +", 85),
        ("80 and older", 80),
        (">85", 85),
        (">= 85", 85),
        ("0", 0),
        ("45 years", 45),
        ("45y", 45),
        ("60 yrs", 60),
        ("120", 120),
        ("30 Jahre", 30),
        ("ca. 60", 60),
        ("over 85", 85),
        ("85 years and older", 85),
        ("18 months", 1.5),
        ("045Y", 45),
        ("006M", 0.5),
    ],
)
def test_ages_are_read_as_people_write_them(read, text, years):
    assert column(read(f"image_id,dx,age\na,nv,{text}\n"), "age") == [years]


@pytest.mark.parametrize(
    ("text", "years"),
    [
        ("45-50", 47.5),
        ("45\N{EN DASH}50", 47.5),
        ("40 to 49 years", 44.5),
        ("<5", 2.5),
        ("< 40", 20),
        ("\N{LESS-THAN OR EQUAL TO}18", 9),
        ("under 5", 2.5),
        ("5 and younger", 2.5),
        ('"(45, 50]"', 47.5),
        ("[40;50)", 45),
        ("60s", 65),
        ("6-12 months", 0.75),
    ],
)
def test_a_range_of_ages_counts_as_its_middle_and_is_noted(read, text, years):
    table = read(f"image_id,dx,age\na,nv,{text}\nb,nv,30\nc,nv,90+\n")
    assert column(table, "age") == [years, 30, 90]
    assert table.notes == [f"column age: 1 age range read as the middle, the first is {text.strip(chr(34))}"]


@pytest.mark.parametrize(
    "text", ["50-45", "45/50", "adult", "18-", "-5", "100-130", "45-50-55", "05-Oct", "2024-05-10"]
)
def test_what_is_not_an_age_or_a_range_of_ages_is_refused(read, text):
    with pytest.raises(DataError, match=f"row 2, column age: received '{text}'"):
        read(f"image_id,dx,age\na,nv,{text}\n")


def test_a_decimal_comma_is_a_decimal_point(read):
    assert column(read("image_id;dx;age\na;nv;45,5\n"), "age") == [45.5]
    assert column(read('image_id,dx,age\na,nv,"45,5"\n'), "age") == [45.5]


NOTHING = [
    "", "NA", "N/A", "#N/A", "<NA>", "NaN", "NaT", "null", "None", "nil", "-", "--", "?", ".", "unknown", "missing",
    "not available", "#VALUE!", "#NULL!", "n/a", "not reported", "n.a.", "#NV", "#N/D", "1.#QNAN",
    "\N{EN DASH}", "(blank)", "\\N", "-99", "n.d.", "k.A.", "unbekannt", "desconocido",
]  # fmt: skip


@pytest.mark.parametrize("word", NOTHING)
def test_words_for_nothing_are_nothing_in_every_column(read, word):
    table = read(
        "image_id,dx,lesion_id,patient_id,age,sex,localization\n"
        f"a,nv,{word},{word},{word},{word},{word}\nb,mel,{word},{word},{word},{word},{word}\n"
    )
    assert column(table, "lesion_id") == ["a", "b"]  # images of no lesion are not one lesion
    assert column(table, "patient_id") == ["", ""]
    assert all(math.isnan(age) for age in column(table, "age"))
    assert column(table, "sex") == column(table, "localization") == ["unknown", "unknown"]
    assert table.notes == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HAM + "L,a,nv,histo,121,male,back,x\n", "age: received '121'; expected a number of years from 0 to 120"),
        (HAM + "L,a,nv,histo,-1,male,back,x\n", "row 2, column age: received '-1'"),
        (HAM + "L,a,nv,histo,old,male,back,x\n", "row 2, column age: received 'old'"),
        (HAM + "L,a,nv,histo,40-x,male,back,x\n", "row 2, column age: received '40-x'"),
        (HAM + "L,a,nv,histo,inf,male,back,x\n", "row 2, column age: received 'inf'"),
        ('image_id,dx,age\na,nv,"1,000"\n', "row 2, column age: received '1,000'"),
        ("image_id,dx,age\na,nv,1_0\n", "row 2, column age: received '1_0'"),
        ("image_id,dx,age\na,nv,nan\n\nb,nv,120.5\n", "row 4, column age: received '120.5'"),
        ("image_id,dx\na,nv\nb,nv\na,mel\n", "row 4, column image_id: received 'a (also row 2)'; expected each image"),
        ("image,dx\nx/a.jpg,nv\ny/a.jpg,nv\n", "each image once; files of one name in several folders need names"),
        ("image,dx\na.jpg,nv\na.png,nv\n", "row 3, column image: received 'a (also row 2)'"),
        ("name,dx\na,nv\n", "no column names the image; received name, dx"),
        ("image_id,age\na,3\n", "no column holds a label or diagnosis; received image_id, age"),
        ("image_id,dx_type\na,histo\n", "or set columns: {label: NAME}"),
        ("image,MEL,NV\na,1,0\nb,1,1\n", "row 3, column MEL/NV: received '1,1'; expected exactly one 1 and zeros"),
        ("image,MEL,NV\na,0,0\n", "row 2, column MEL/NV: received '0,0'"),
        ("image,MEL,NV\na,0.5,0.5\n", "row 2, column MEL/NV: received '0.5,0.5'"),
        ('image_id,dx,lesion_id\na,nv,"L\n1"\n', "row 2, column lesion_id: received 'L\\n1'; expected text without"),
        ("image_id,dx,lesion_id\na,nv,L\u202e1\n", "row 2, column lesion_id: received 'L\\u202e1'"),
        (",".join(f"c{i}" for i in range(99)) + "\nx" + ",y" * 98 + "\n", "c19 and 79 more; expected"),
        ("a,nv\nb,mel\n", "no column holds a label or diagnosis; received a, nv"),
    ],
)
def test_a_fault_is_named_by_row_column_and_value(read, text, message):
    with pytest.raises(DataError) as caught:
        read(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["lesion_id", "patient_id", "dx", "dx_type", "sex", "localization", "dataset", "label"]
)
@pytest.mark.parametrize("value", ["=1+1", "+49", "-2+3|cmd", "@SUM(A1)", "  =HYPERLINK(1)"])
def test_text_that_a_spreadsheet_would_run_is_refused(read, name, value):
    with pytest.raises(DataError) as caught:
        read(f"image_id,dx,{name}\na,nv,x\nb,nv,{value}\n" if name != "dx" else f"image_id,dx\na,nv\nb,{value}\n")
    assert (
        f"row 3, column {name}: received {value.strip()!r}; expected text that does not begin with =, +, - or @"
        in str(caught.value)
    )


def test_columns_of_ones_own_are_free(read):
    assert column(read("image_id,dx,note\na,nv,=1+1\n"), "note") == ["=1+1"]


def test_many_faults_are_counted_and_the_first_shown(read):
    rows = "".join(f"L,i{i},nv,histo,{200 + i},male,back,x\n" for i in range(9))
    with pytest.raises(DataError, match=r"row 2, column age: received '200'; row 3.*\(and 4 more rows\)"):
        read(HAM + rows)


def test_an_odd_sex_counts_as_unknown_and_is_noted(read):
    table = read("image_id,dx,sex\na,nv,Male\nb,nv,diverse\nc,nv,\nd,nv,W\n")
    assert column(table, "sex") == ["male", "unknown", "unknown", "female"]
    assert table.notes == ["column sex: 1 value not recognised and counted as unknown, the first in row 3: 'diverse'"]


@pytest.mark.parametrize(("text", "kind"), [("I", "1"), ("iv", "4"), ("6", "6"), ("3.0", "3"), ("-1", "unknown")])
def test_skin_types_are_numbers(read, text, kind):
    table = read(f"image_id,dx,fitzpatrick_skin_type\na,nv,{text}\n")
    assert (column(table, "skin_type"), table.notes) == ([kind], [])


def test_any_table_is_read_by_a_mapping_of_its_columns(read):
    text = "nr,filename,class,case,note\n1,a.jpg,yes,P1,x\n2,b.jpg,no,P1,y\n"
    table = read(text, {"image_id": "filename", "label": "Class", "patient_id": "case"})
    assert column(table, "image_id") == ["a", "b"]
    assert column(table, "stated_label") == [1, 0]
    assert column(table, "patient_id") == ["P1", "P1"]
    assert (column(table, "note"), column(table, "nr")) == (["x", "y"], ["1", "2"])


def test_names_of_columns_are_compared_without_case_spaces_and_hyphens(read):
    table = read("Image ID,Lesion-ID,Diagnosis,Age\na,L,nv,4\n")
    assert [column(table, name) for name in ("image_id", "lesion_id", "dx", "age")] == [["a"], ["L"], ["nv"], [4.0]]


def test_a_mapping_comes_before_a_layout(read):
    table = read(HAM + "L1,a,mel,histo,80,male,scalp,0\n", {"label": "dataset"})
    assert (column(table, "stated_label"), table.reading.decided_by) == ([0], "label")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"image_id": "file"}, "columns.image_id: .*table.csv has no column 'file'; did you mean filename"),
        ({"image_id": "zzz"}, "columns.image_id: .*table.csv has no column 'zzz'; it has filename, klass, case"),
        ({"imageid": "filename"}, "columns: received the meaning 'imageid'; did you mean image_id"),
    ],
)
def test_a_mapping_that_does_not_fit_is_told_the_nearest_names(read, columns, message):
    with pytest.raises(ConfigError, match=message):
        read("filename,klass,case\na,0,P\n", columns)


def test_an_unknown_table_is_told_the_nearest_guess(read):
    with pytest.raises(DataError, match=r"columns: \{image_id: image_file_x\}"):
        read("image_file_x,dx\na,nv\n")
    with pytest.raises(DataError, match=r"columns: \{label: klass\}"):
        read("image_id,klass\na,0\n")


def test_a_table_named_with_spaces_around_it_is_found(tmp_path):
    (tmp_path / "table.csv").write_text("image_id,dx\na,nv\n")
    assert column(read_table(f" {tmp_path / 'table.csv'}\n"), "image_id") == ["a"]


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=300))
@settings(max_examples=200, deadline=None)
def test_any_text_is_read_or_refused_in_words(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    for head in ("", "image_id,dx\n", HAM):
        path.write_text(head + text, encoding="utf-8", newline="")
        try:
            rows = read_table(str(path)).rows
        except DataError as error:
            assert str(path) in str(error) and "\n" not in str(error)
        else:
            assert rows["image_id"].is_unique


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_read_or_refused_in_words(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(b"image_id,label\n" + data)
    try:
        read_table(str(path))
    except DataError as error:
        assert str(path) in str(error)


@pytest.mark.parametrize("text", ["image_id,dx\n", "image_id,dx\n,\n\n"])
def test_a_table_without_rows_is_refused(read, text):
    with pytest.raises(DataError, match="no rows below the header; expected one row per image"):
        read(text)


def test_a_missing_table_is_a_clear_error(tmp_path):
    with pytest.raises(DataError, match="does not exist; expected the metadata table"):
        read_table(str(tmp_path / "absent.csv"))
    with pytest.raises(DataError, match="cannot be read"):
        read_table(str(tmp_path))
