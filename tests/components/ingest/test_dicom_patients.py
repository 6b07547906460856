"""DICOM files are images with a patient; who it is stays out of the index."""

import hashlib
import json

import pandas as pd
import pytest

from components.common.runtime.errors import DataError
from components.ingest.config import IngestConfig
from components.ingest.run import run

PATIENTS = ["A 1", "A 1", "B2", "B2", "C3", "", "D4", "D4"]


@pytest.fixture
def wrapped(collection, dicom_file):
    """The collection with six of its images in DICOM files; two stay JPEG files."""
    for number, patient in enumerate(PATIENTS[:6]):
        jpeg = collection.file(number).read_bytes()
        file = dicom_file(jpeg, PatientID=patient, fragments=1 + number % 3, offsets=number % 2 == 0)
        collection.file(number).with_suffix(".dcm").write_bytes(file)
        collection.file(number).unlink()
    return collection


def ingested(collection, out, config=None):
    run(config or IngestConfig(), collection.table, [collection.root], out)
    return pd.read_parquet(out / "index.parquet").set_index("image_id"), json.loads((out / "ingest.json").read_text())


def test_a_dicom_file_is_the_image_that_it_holds(collection, dicom_file, tmp_path):
    before, _ = ingested(collection, tmp_path / "jpeg")
    for number in range(8):
        file = collection.file(number).with_suffix(".dcm")
        file.write_bytes(dicom_file(collection.file(number).read_bytes(), PatientID=""))
        collection.file(number).unlink()
    after, account = ingested(collection, tmp_path / "dicom")
    same = [name for name in before.columns if name not in ("uri", "size")]
    pd.testing.assert_frame_equal(after[same], before[same])
    assert account["dicom"]["without_patient"] == 8
    assert "patient_id" not in after


@pytest.mark.parametrize("name", ["im{}", "im{}.dic", "im{}.IMA", "im{}.DCM"])
def test_a_dicom_file_is_known_by_its_bytes_whatever_its_name(collection, dicom_file, tmp_path, name):
    for number in range(8):
        file = collection.file(number).with_name(name.format(number))
        file.write_bytes(dicom_file(collection.file(number).read_bytes()))
        collection.file(number).unlink()
    index, account = ingested(collection, tmp_path / "index")
    assert index["verdict"].tolist() == ["ok"] * 8
    assert account["dicom"]["images"] == 8
    again, _ = ingested(collection, tmp_path / "index")
    pd.testing.assert_frame_equal(again.drop(columns="patient_id"), index.drop(columns="patient_id"))


def test_patients_are_hashed_with_a_salt_of_the_run_and_other_identifiers_counted(wrapped, tmp_path):
    index, account = ingested(wrapped, tmp_path / "one")
    patients = index["patient_id"].tolist()
    assert [patients[0] == patients[1], patients[2] == patients[3]] == [True, True]
    assert (len({*patients[:5]}), patients[5:]) == (3, ["", "", ""])
    written = (tmp_path / "one" / "ingest.json").read_text() + "".join(patients)
    assert not any(one and one in written for one in (*PATIENTS, "Doe", "Jane", "19700101"))
    assert hashlib.sha256(b"A 1").hexdigest()[:16] not in patients
    said = account["dicom"]
    assert (said["images"], said["patients"], said["without_patient"], said["burned_in"]) == (6, 3, 1, 0)
    assert (said["dropped"]["PatientName"], said["dropped"]["PatientBirthDate"]) == (6, 6)
    assert account["table"]["patient_ids"] == 3
    assert "patient_id is PatientID of the DICOM files, hashed: 3 patients" in account["notes"]
    again, _ = ingested(wrapped, tmp_path / "two")
    assert set(again["patient_id"]) & set(patients) == {""}


def test_the_cache_does_not_lose_the_patients(wrapped, tmp_path):
    config = IngestConfig(cache=str(tmp_path / "cache"))
    ingested(wrapped, tmp_path / "one", config)
    index, _ = ingested(wrapped, tmp_path / "one", config)
    assert (index["patient_id"] != "").sum() == 5


def test_a_bare_jpeg_under_the_name_of_a_dicom_file_is_mislabelled_also_where_its_picture_is_known(
    collection, dicom_file, tmp_path
):
    jpeg, file = collection.file(0).read_bytes(), collection.file(0).with_suffix(".dcm")
    collection.file(0).unlink()
    file.write_bytes(dicom_file(jpeg))
    first, _ = ingested(collection, tmp_path / "out")
    file.write_bytes(jpeg)
    again, _ = ingested(collection, tmp_path / "out", IngestConfig(max_lost_pct=100))
    assert [index.loc["im0", "verdict"] for index in (first, again)] == ["ok", "mislabelled"]


def test_the_patients_of_the_table_come_first(wrapped, tmp_path):
    for number, row in enumerate(wrapped.rows):
        row["patient_id"] = f"T{number // 4}"
    wrapped.write_table()
    index, account = ingested(wrapped, tmp_path / "out")
    assert set(index["patient_id"]) == {"T0", "T1"}
    assert "patients are those of the table; PatientID of the DICOM files is not used" in account["notes"]


def test_the_same_picture_in_both_forms_is_one_picture(wrapped, tmp_path):
    jpeg = wrapped.file(6).read_bytes()
    wrapped.file(7).write_bytes(jpeg)  # bkl and df: both benign
    index, account = ingested(wrapped, tmp_path / "out", IngestConfig(max_lost_pct=100))
    assert index.loc["im6", "sha256"] == index.loc["im7", "sha256"] == hashlib.sha256(jpeg).hexdigest()
    assert any("same bytes" in note for note in account["notes"])


def test_text_burned_into_a_picture_is_noted(collection, dicom_file, tmp_path):
    collection.file(2).with_suffix(".dcm").write_bytes(
        dicom_file(collection.file(2).read_bytes(), BurnedInAnnotation="YES")
    )
    collection.file(2).unlink()
    _, account = ingested(collection, tmp_path / "out")
    assert "1 DICOM file with burned-in text (BurnedInAnnotation is YES)" in account["notes"]


def test_other_dicom_files_are_lost_with_their_kind(collection, dicom_file, tmp_path):
    uid = pytest.importorskip("pydicom.uid")
    for number, how in enumerate([{"syntax": uid.JPEG2000}, {"NumberOfFrames": 2}, {"sop_class": uid.CTImageStorage}]):
        collection.file(number).with_suffix(".dcm").write_bytes(dicom_file(collection.file(number).read_bytes(), **how))
        collection.file(number).unlink()
    index, _ = ingested(collection, tmp_path / "out", IngestConfig(max_lost_pct=100))
    assert index["verdict"].tolist() == ["unsupported"] * 3 + ["ok"] * 5
    assert [reason.split(";")[0] for reason in index["reason"][:3]] == [
        "a DICOM file with pixel data as JPEG 2000 Image Compression",
        "a DICOM file with 2 frames",
        "a DICOM object of class CT Image Storage, modality XC",
    ]


def test_without_the_extra_the_command_that_installs_it_is_in_the_error(wrapped, tmp_path, monkeypatch):
    from components.common.imaging import dicom

    dicom._pydicom.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "pydicom", None)
    with pytest.raises(
        DataError, match=r"im0: unsupported, a DICOM file; to read it: pip install 'lesionflow\[dicom\]'"
    ):
        ingested(wrapped, tmp_path / "out")
    dicom._pydicom.cache_clear()
