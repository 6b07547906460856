"""A row's label comes from where the table says it; a class that nobody knows stops the run instead of vanishing."""

import pandas as pd
import pytest

from components.common.runtime.errors import DataError
from components.ingest.labels import load_label_policy
from components.ingest.tables import read_table
from components.ingest.verdicts import conflicts_of_bytes, conflicts_of_lesions, label_rows, policy_of


@pytest.fixture
def judge(tmp_path):
    """Labels, verdicts, reasons and notes of a table."""

    def call(text, policy="auto"):
        path = tmp_path / "table.csv"
        path.write_text(text, encoding="utf-8")
        table = read_table(str(path))
        found, notes = label_rows(table, policy_of(policy, table), chosen=policy != "auto")
        return found["label"].tolist(), found["verdict"].tolist(), found["reason"].tolist(), notes

    return call


def rows(words, header="image_id,label"):
    return header + "\n" + "".join(f"im{i},{word}\n" for i, word in enumerate(words))


@pytest.mark.parametrize("odd", ["indeterminate", "perhaps", "benign?", "2"])
def test_one_odd_label_loses_one_row_and_is_named(judge, odd):
    labels, verdicts, reasons, _ = judge(rows(["benign", "malignant", "benign", odd]))
    assert labels == [0, 1, 0, -1]
    assert verdicts == ["", "", "", "unknown_diagnosis"]
    assert repr(odd) in reasons[3]


def test_three_odd_labels_among_a_thousand_lose_three_rows(judge):
    words = ["malignant" if i % 5 == 0 else "benign" for i in range(1000)]
    words[7] = words[8] = words[900] = "uncertain"
    labels, verdicts, _, _ = judge(rows(words))
    assert labels.count(-1) == verdicts.count("unknown_diagnosis") == 3


def test_a_diagnosis_among_words_is_read_by_the_policy(judge):
    assert judge(rows(["benign", "malignant", "melanoma", "benign"]))[0] == [0, 1, 1, 0]


def test_minus_one_is_no_label(judge):
    labels, verdicts, reasons, _ = judge(rows(["0", "1", "-1"]))
    assert (labels, verdicts[2], reasons[2]) == ([0, 1, -1], "unknown_diagnosis", "the table has no label here")


def test_a_class_that_another_policy_knows_stops_the_run(judge):
    with pytest.raises(DataError, match=r"36 rows say AK: policies isic, isic2019 know it") as caught:
        judge(rows(["nv"] * 900 + ["mel"] * 64 + ["AK"] * 36), "ham10000")
    assert "\n" not in str(caught.value)
    assert "Choose a label_policy, or write one of your own" in str(caught.value)
    assert judge(rows(["nv"] * 900 + ["mel"] * 64 + ["AK"] * 36), "isic2019")[0].count(1) == 100


def test_a_class_that_no_policy_knows_stops_the_run(judge):
    with pytest.raises(DataError, match="12 rows say wart-like: no policy that comes with lesionflow knows it"):
        judge(rows(["nv"] * 900 + ["wart-like"] * 12, "image_id,dx"))


def test_a_column_that_says_nothing_understood_is_refused_with_what_is(judge):
    with pytest.raises(DataError) as caught:
        judge(rows(["red", "green", "blue"]))
    assert "accepted are benign/malignant, 0/1, yes/no, true/false, positive/negative" in str(caught.value)
    assert "'red' (1 row)" in str(caught.value)


BESIDE = "image_name,diagnosis,target\na,mel,1\nb,nv,1\nc,nv,0\nd,unknown,0\ne,wart,1\n"


def test_beside_diagnoses_the_policy_decides_where_it_knows_them_and_the_label_elsewhere(judge):
    labels, verdicts, _, notes = judge(BESIDE)
    assert labels == [1, 0, 0, 0, 1]
    assert set(verdicts) == {""}
    assert notes == [
        "the table has diagnoses and labels; policy ham10000 decides by the diagnosis, against the table's label in "
        "1 rows, the first is b",
        "2 rows without a diagnosis that policy ham10000 knows: the table's label is used, the first is d",
    ]


ARCHIVE = (
    "isic_id,diagnosis_1,diagnosis_3\na,Benign,Nevus\nb,Malignant,Basal cell carcinoma\n"
    "c,Indeterminate,Solar or actinic keratosis\nd,,Nevus\n"
)


def test_the_archives_label_decides_unless_a_policy_is_chosen(judge):
    labels, verdicts, reasons, _ = judge(ARCHIVE)
    assert labels == [0, 1, -1, 0]
    assert verdicts == ["", "", "unknown_diagnosis", ""]
    assert reasons[2] == "'indeterminate' is neither benign nor malignant"
    assert judge(ARCHIVE, "ham10000")[0] == [0, 1, 1, 0]
    labels, verdicts, _, _ = judge(ARCHIVE, "ham10000-without-akiec")
    assert (labels, verdicts[2]) == ([0, 1, -1, 0], "excluded_diagnosis")


def test_many_indeterminate_rows_go_one_by_one(judge):
    text = "isic_id,diagnosis_1\n" + "".join(f"a{i},{'Indeterminate' if i < 40 else 'Benign'}\n" for i in range(100))
    assert judge(text)[1].count("unknown_diagnosis") == 40


def test_a_chosen_policy_may_leave_a_word_out(judge):
    labels, verdicts, _, _ = judge(rows(["benign", "malignant", "indeterminate"]), "isic")
    assert (labels[2], verdicts[2]) == (-1, "excluded_diagnosis")


def frame(**columns):
    return pd.DataFrame(columns)


def found_of(labels):
    return pd.DataFrame({"label": labels, "verdict": "", "reason": ""})


def test_images_of_one_lesion_with_different_labels_contradict_each_other():
    table = frame(lesion_id=["L", "L", "M", "N", "N"], image_id=list("abcde"), dx=["nv", "mel", "nv", "bcc", "mel"])
    found = found_of([0, 1, 0, 1, 1])
    notes = conflicts_of_lesions(table, found)
    assert found["verdict"].tolist() == ["conflicting_diagnosis"] * 2 + [""] * 3
    assert found["reason"][0] == "images of lesion L have different labels: nv (a), mel (b)"
    assert notes == ["1 lesion with several diagnoses of the same label, the first is N"]


def test_a_lesion_with_a_large_share_of_the_images_is_noted():
    ids = ["none given"] * 30 + [f"L{i}" for i in range(70)]
    table = frame(lesion_id=ids, image_id=[str(i) for i in range(100)], dx=["nv"] * 100)
    (note,) = conflicts_of_lesions(table, found_of([0] * 100))
    assert note.startswith("lesion none given holds 30 of 100 images, which stay together in a split; check that")


def test_equal_bytes_with_different_labels_contradict_each_other():
    table = frame(image_id=list("abcdef"), dx=["nv", "mel", "nv", "nv", "nv", "mel"])
    found = found_of([0, 1, 0, 0, 0, -1])
    notes = conflicts_of_bytes(table, found, pd.Series(["1", "1", "2", "3", "3", "2"]))
    assert found["verdict"].tolist() == ["conflicting_diagnosis"] * 2 + [""] * 4
    assert found["reason"][1] == "files with the same bytes have different labels: nv (a), mel (b)"
    assert notes == [
        "2 images have the same bytes as one with another label and are left out",
        "2 images have the same bytes as another one of the table, the first is d",
    ]


def test_images_that_could_not_be_read_are_not_alike():
    table = frame(image_id=["a", "b"], dx=["nv", "mel"])
    assert conflicts_of_bytes(table, found_of([0, 1]), pd.Series(["", ""])) == []


def test_a_policy_is_taken_by_name_or_by_what_fits(tmp_path):
    (tmp_path / "table.csv").write_text("image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC\na,1,0,0,0,0,0,0,0\n")
    table = read_table(str(tmp_path / "table.csv"))
    assert policy_of("auto", table) == load_label_policy("isic2019")
    assert policy_of("ham10000", table).name == "ham10000"
