"""Tables as their owners ship them: what is around the cells is left out with a note, and the labels are the same."""

import io

import pandas as pd
import pytest

from components.common.runtime.errors import DataError
from components.ingest.tables import read_table
from components.ingest.verdicts import label_rows, policy_of

ROWS = "im0,benign\nim1,malignant\nim2,benign\n"
TABLE = "image,label\n" + ROWS


@pytest.fixture
def read(tmp_path):
    def call(data, name="table.csv", columns=None):
        path = tmp_path / name
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return read_table(str(path), columns)

    return call


def labels(table):
    found, _ = label_rows(table, policy_of("auto", table), chosen=False)
    return found["label"].tolist()


@pytest.mark.parametrize(
    ("data", "note"),
    [
        ("Export of clinic A\n" + TABLE, "1 row above the header left out: 'Export of clinic A'"),
        ("Export of clinic A,\n" + TABLE, "1 row above the header left out"),
        ("Export\n\n" + TABLE, "2 rows above the header left out: 'Export'"),
        ("Images, clinic A, 2024\n" + TABLE.replace(",", ";"), "'Images, clinic A, 2024'"),
        ("Picture,\n" + TABLE, "1 row above the header left out: 'Picture'"),
        ("# made by a program\n# version 2\n" + TABLE, "2 rows above the header left out: '# made by a program'"),
        ("#" + TABLE, ""),
        (TABLE + "# end\n", "1 line beginning with # left out"),
        (TABLE + "Total,3\n", "1 row without the name of an image left out: the first is row 5 ('Total')"),
        (TABLE + "Summe:,\n", "('Summe:')"),
        (TABLE + "* labels by histology,\n", "('* labels by histology')"),
        ("image,label,age\n,,years\nim0,0,1\nim1,1,2\nim2,0,3\n", "row 2 ('years')"),
        (
            "image,label\nim0,0\nimage,label\nim1,1\nim2,0\n",
            "1 row repeating the header left out: the first is row 3",
        ),
        ("image,label,label\nim0,0,0\nim1,1,1\nim2,0,0\n", "column label occurs twice with the same values"),
        ("image,label\nim0,0,\nim1,1,\nim2,0,\n", ""),
        ('"image","label"\n"1","im0","0"\n"2","im1","1"\n"3","im2","0"\n', "counts the rows"),
        ("Unnamed: 0.1,Unnamed: 0,image,label\n0,0,im0,0\n1,1,im1,1\n2,2,im2,0\n", "column 2 has no name of its own"),
        ("'image','label'\n'im0','0'\n'im1','1'\n'im2','0'\n", ""),
        ('"image", "label"\n"im0", "0"\n"im1", "1"\n"im2", "0"\n', ""),
        ('"image\nname",label\n' + ROWS, ""),
        ("image\u00a0name,label\n" + ROWS.replace(",", "\u00a0,\u00a0"), ""),
        ("image\u200b,label\n" + ROWS.replace("\n", "\u200b\n"), ""),
        ("\ufeff\ufeff" + TABLE, ""),
        (TABLE + "\x1a", ""),
        (TABLE.encode("utf-32"), ""),
        (TABLE.replace("\n", ",r\u00fccken\n").encode("cp1252"), "read as Windows-1252 (r\u00fccken)"),
        (",,\n,image,label\n,im0,0\n,im1,1\n,im2,0\n", ""),
        ('image,label\n"=""im0""",0\n"=""im1""",1\n"=""im2""",0\n', ""),
        ("Image File,Ground Truth\n" + ROWS, ""),
        ("imageId,isMalignant\nim0,False\nim1,True\nim2,False\n", ""),
        ("image,Benign/Malignant\n" + ROWS, ""),
        ("image,diagnosis\n" + ROWS, ""),
        ("image,label\nim0,0,,\nim1,1,,\nim2,0,,\n", ""),
        ("image,label\nim0,0\nim1,1,\nim2,0\n", ""),
        ("image,label,,\nim0,0\nim1,1,\nim2,0,,\n", ""),
        ("image,label,,\nim0,0,NaN,\nim1,1,NaN,\nim2,0,NaN,\n", ""),
        ("image,MEL,NV\nim0,False,True\nim1,True,False\nim2,False,True\n", ""),
    ],
)
def test_what_is_around_a_table_changes_nothing(read, data, note):
    table = read(data)
    assert table.rows["image_id"].tolist() == ["im0", "im1", "im2"]
    assert labels(table) == [0, 1, 0]
    assert note in "\n".join(table.notes)


@pytest.mark.parametrize(
    ("benign", "malignant"),
    [
        ("B", "M"),
        ("ben", "mal"),
        ("benign", "malign"),
        ("benign", "malignancy"),
        ("f", "t"),
        ("Benign.", "Malignant."),
        ("non_malignant", "malignant"),
        ("Non-cancerous", "Cancerous"),
        ("benign lesion", "malignant tumour"),
        ("gutartig", "b\u00f6sartig"),
        ("b\u00e9nin", "malin"),
        ("benigno", "maligno"),
        ("nein", "ja"),
        ("0 (benign)", "1 (malignant)"),
        ("0=benign", "1=malignant"),
        ("00", "01"),
        ("0.00", "1.00"),
    ],
)
def test_words_that_are_labels_in_other_dress(read, benign, malignant):
    assert labels(read(f"image;label\na;{benign}\nb;{malignant}\nc;{benign}\n")) == [0, 1, 0]


@pytest.mark.parametrize("text", ["benign?", "0/1", "benign/malignant", "no melanoma", "0.5", "1 (benign)", "m"])
def test_words_that_are_not_surely_a_label_are_none(read, text):
    assert labels(read(f"image;label\na;{text}\nb;malignant\nc;benign\n")) == [-1, 1, 0]


def test_numbers_of_classes_are_not_labels(read):
    table = read("image,label\n" + "".join(f"im{i},{i % 7}\n" for i in range(70)))
    with pytest.raises(DataError, match=r"no value says benign or malignant.* and give it as label_policy"):
        labels(table)


def test_two_columns_of_labels_must_agree(read):
    text = "image,label,malignant\na,0,0\nb,1,1\nc,0,1\n"
    with pytest.raises(
        DataError, match=r"columns label and malignant disagree in 1 row, the first is row 4; say which"
    ):
        read(text)
    assert labels(read(text, columns={"label": "malignant"})) == [0, 1, 1]
    assert labels(read(text.replace("c,0,1", "c,0,"))) == [0, 1, 0]


def test_a_patient_in_a_column_of_another_name_is_used_or_pointed_out(read):
    for name in ("PatientID", "Patient No.", "patientId", "subject_id", "pat_id"):
        assert read(f"image,label,{name}\na,0,7.0\nb,1,7\n").rows["patient_id"].tolist() == ["7", "7"]
    for name in ("MRN", "case", "Patient hash"):
        (note,) = read(f"image,label,{name}\na,0,P\nb,1,P\n").notes
        assert f"column {name} may identify the patient but is not used" in note
    assert read("image,label,patient_age\na,0,50\nb,1,60\n").notes == []


@pytest.mark.parametrize("column", ["patient_id", "lesion_id"])
def test_numbers_that_a_spreadsheet_has_shortened_are_refused(read, column):
    with pytest.raises(DataError, match=rf"row 2, column {column}: received '1.23E\+11'"):
        read(f"image,label,{column}\na,0,1.23E+11\nb,1,1.23E+11\n")


def test_a_workbook_with_titles_merged_headers_and_totals_is_read(read):
    pytest.importorskip("openpyxl", reason="the extra `excel` is not installed")
    rows = [
        ["Images of clinic A", None, None, None],
        [None, None, None, None],
        [None, "Picture", None, "Patient"],
        [None, "Image Name", "Label", "Age"],
        [None, 1001, "benign", 45],
        [None, 1002, "malignant", 61.5],
        [None, "Total", None, 106.5],
    ]
    buffer = io.BytesIO()
    pd.DataFrame(rows).to_excel(buffer, index=False, header=False)
    table = read(buffer.getvalue(), "table.xlsx")
    assert table.rows[["row", "image_id", "age"]].to_numpy().tolist() == [[5, "1001", 45.0], [6, "1002", 61.5]]
    assert labels(table) == [0, 1]
    assert [note.split(":")[0] for note in table.notes] == [
        "3 rows above the header left out",
        "1 row without the name of an image left out",
    ]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (TABLE + "im3\n", "row 5 has 1 value, the header has 2; delete remarks above and below the table"),
        ("image,label,age\nim0,0,4\nim1,1\n", "row 3 has 2 values, the header has 3; the file may be cut off"),
        (TABLE + "im3,benign,x\n", "row 5 has 3 values, the header has 2; a value that holds ',' needs quotes"),
        ("image label\nim0 benign\n", "separators are comma, semicolon, tab or |"),
        (TABLE + ",benign\n", "row 5, column image: received ''"),
        ("image,benign\nim0,0\nim1,1\n", "no column holds a label or diagnosis; received image, benign"),
    ],
)
def test_what_cannot_be_guessed_is_refused(read, data, message):
    with pytest.raises(DataError) as caught:
        read(data)
    assert message in str(caught.value)
