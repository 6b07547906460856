"""Ingest judges every image, loses none silently, and gives equal bytes for equal data."""

import io
import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from components.common.artifacts.folder import open_artifact, sha256_bytes
from components.common.imaging import inspect
from components.common.imaging.pixels import encode_jpeg
from components.common.runtime.errors import ArtifactError, ConfigError, DataError
from components.ingest.__main__ import main
from components.ingest.check import check_images
from components.ingest.config import IngestConfig
from components.ingest.run import run
from pipelines.sample.generate import make_sample

REAL = Path(__file__).parents[4] / "shared" / "ham10000"
COLUMNS = [
    "image_id", "lesion_id", "group_id", "dx", "label", "uri", "sha256", "width", "height", "phash", "verdict",
    "reason", "format", "channels", "orientation", "size", "age", "sex", "localization", "dx_type", "dataset",
    "thumbnail",
]  # fmt: skip
LOSE_ALL = IngestConfig(max_lost_pct=100)


def index_of(result):
    return pd.read_parquet(result.path / "index.parquet").set_index("image_id")


def test_a_whole_collection_is_ok(collection, tmp_path):
    result = run(IngestConfig(), collection.table, [collection.root], tmp_path / "out")
    assert (result.rows, result.ok, result.lost, result.malignant) == (8, 8, 0, 4)
    table = pd.read_parquet(tmp_path / "out" / "index.parquet")
    assert table.columns.tolist() == COLUMNS
    assert table["image_id"].tolist() == [row["image_id"] for row in collection.rows]
    first = table.iloc[0]
    assert first["sha256"] == sha256_bytes(collection.file(0).read_bytes())
    assert (first["uri"], first["size"]) == (str(collection.file(0)), collection.file(0).stat().st_size)
    assert table["label"].tolist() == [0, 0, 1, 1, 0, 1, 1, 0]
    assert (table["group_id"] == table["lesion_id"]).all()
    assert open_artifact(tmp_path / "out", "index").made_from.keys() == {"metadata", "label_policy"}


def test_ingest_json_holds_the_account(collection, tmp_path):
    collection.file(2).unlink()
    run(LOSE_ALL, collection.table, [collection.root, "nowhere"], tmp_path / "out")
    record = json.loads((tmp_path / "out" / "ingest.json").read_text())
    assert record["schema"] == "lesionflow.ingest/1"
    assert record["counts"] == {"missing": 1, "ok": 7}
    assert (record["rows"], record["ok"], record["lost"], record["lost_pct"]) == (8, 7, 1, 12.5)
    assert record["lost_images"] == [
        {"image_id": "im2", "verdict": "missing", "reason": "no file of this name in any root"}
    ]
    assert record["roots"] == [
        {"uri": collection.root, "exists": True, "images": 7}, {"uri": "nowhere", "exists": False, "images": 0},
    ]  # fmt: skip
    assert record["label_policy"]["name"] == "ham10000"


def test_every_planted_fault_gets_its_verdict(tmp_path):
    sample = make_sample(tmp_path / "sample", 40, 5, faults=True)
    result = run(LOSE_ALL, str(sample.metadata), [str(sample.folder)], tmp_path / "out")
    index = index_of(result)
    expected = {
        "missing_file": "missing", "zero_bytes": "corrupt", "truncated": "corrupt", "hole_of_zeros": "corrupt",
        "png_named_jpg": "mislabelled", "grey": "ok", "cmyk": "unsupported", "exif_rotated": "ok",
        "duplicate_under_two_lesions": "ok", "lesion_with_two_diagnoses": "conflicting_diagnosis",
        "unknown_diagnosis": "unknown_diagnosis",
    }  # fmt: skip
    assert sample.faults.keys() == expected.keys()
    for fault, ids in sample.faults.items():
        assert set(index.loc[ids, "verdict"]) == {expected[fault]}, fault
    planted = {one for ids in sample.faults.values() for one in ids}
    assert set(index.loc[~index.index.isin(planted), "verdict"]) == {"ok"}
    turned = index.loc[sample.faults["exif_rotated"][0]]
    assert (turned["orientation"], turned["width"], turned["height"]) == (6, 200, 150)
    assert index.loc[sample.faults["grey"][0], "channels"] == 1
    assert index.loc[sample.faults["duplicate_under_two_lesions"], "sha256"].nunique() == 1
    assert index.loc[sample.faults["unknown_diagnosis"][0], "label"] == -1


def test_too_much_loss_names_the_first_images_and_writes_nothing(collection, tmp_path):
    collection.file(1).unlink()
    collection.file(6).write_bytes(collection.file(6).read_bytes()[:-300])
    with pytest.raises(DataError) as caught:
        run(IngestConfig(), collection.table, [collection.root], tmp_path / "out")
    assert "2 of 8 images (25.00 %) are unusable, at most 5 % may be" in str(caught.value)
    assert "im1: missing" in str(caught.value) and "im6: corrupt, Premature end" in str(caught.value)
    assert list(tmp_path.glob("*out*")) == []


def test_loss_at_the_limit_is_accepted(collection, tmp_path):
    collection.file(1).unlink()
    assert run(IngestConfig(max_lost_pct=12.5), collection.table, [collection.root], tmp_path / "out").lost == 1


@pytest.mark.parametrize("roots", [[], ["nowhere"], ["nowhere", "neither"]])
def test_no_image_at_all_is_an_error(collection, tmp_path, roots):
    with pytest.raises(DataError, match="images: "):
        run(LOSE_ALL, collection.table, roots, tmp_path / "out")


def test_a_root_that_may_not_be_listed_is_an_error_in_words(collection, tmp_path, monkeypatch):
    scandir = os.scandir

    def refuse(path="."):
        if str(path) == collection.root:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match=r"cannot be listed \(Permission denied\)"):
        run(LOSE_ALL, collection.table, [collection.root], tmp_path / "out")


def test_images_under_other_suffixes_are_read_or_named(collection, tmp_path):
    for number, suffix in enumerate((".jfif", ".jpe", ".JPG")):
        collection.file(number).rename(collection.file(number).with_suffix(suffix))
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(60)
    collection.file(7).unlink()
    collection.file(7).with_suffix(".heic").write_bytes(heic)
    index = index_of(run(LOSE_ALL, collection.table, [collection.root], tmp_path / "out"))
    assert (index["verdict"] == "ok").sum() == 7
    assert index.loc["im7", ["verdict", "reason"]].tolist() == ["unsupported", "format heif; JPEG and PNG are read"]


def test_a_mirror_with_equal_bytes_is_accepted_once(collection, tmp_path):
    shutil.copytree(collection.root, tmp_path / "mirror")
    result = run(IngestConfig(), collection.table, [collection.root, str(tmp_path / "mirror")], tmp_path / "out")
    assert result.ok == 8
    assert set(index_of(result)["uri"].map(lambda uri: Path(uri).parent.name)) == {"images"}
    assert "8 images found more than once with equal bytes" in (tmp_path / "out" / "ingest.json").read_text()


def test_a_mirror_with_other_bytes_is_a_conflict(collection, tmp_path):
    shutil.copytree(collection.root, tmp_path / "mirror")
    (tmp_path / "mirror" / "im3.jpg").write_bytes(encode_jpeg(np.full((60, 80, 3), 90, np.uint8), 90))
    result = run(LOSE_ALL, collection.table, [collection.root, str(tmp_path / "mirror")], tmp_path / "out")
    assert result.counts == {"duplicate_conflict": 1, "ok": 7}
    reason = index_of(result).loc["im3", "reason"]
    assert collection.root in reason and str(tmp_path / "mirror") in reason


def test_a_file_that_is_not_an_image_does_not_contradict_one_of_the_same_name(collection, tmp_path):
    images = collection.folder / "images"
    (images / "im3.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    (images / "im3.png").write_bytes(b"<html>not found</html>")
    (images / "im5.jpeg").write_bytes(collection.file(5).read_bytes()[:-200])  # an interrupted copy
    result = run(IngestConfig(), collection.table, [collection.root], tmp_path / "out")
    assert result.counts == {"ok": 8}
    index = index_of(result)
    assert [index.loc[one, "uri"] for one in ("im3", "im5")] == [str(collection.file(3)), str(collection.file(5))]
    (note,) = json.loads((tmp_path / "out" / "ingest.json").read_text())["notes"]
    assert note.startswith("2 images with several files of that name, of which only one can be read and is taken; the")
    assert "im3.heic" in note


def test_what_is_named_like_an_image_and_is_not_a_file_is_named(collection, tmp_path):
    for number in (1, 2, 3, 4):
        collection.file(number).unlink()
    collection.file(1).symlink_to(tmp_path / "gone.jpg")
    os.mkfifo(collection.file(2))
    collection.file(3).mkdir()
    result = run(LOSE_ALL, collection.table, [collection.root], tmp_path / "out")
    assert result.counts == {"missing": 1, "ok": 4, "unreadable": 3}
    reasons = index_of(result)["reason"]
    assert reasons["im1"] == f"{collection.file(1)} is a broken link (to {tmp_path / 'gone.jpg'})"
    assert reasons["im2"] == f"{collection.file(2)} is a named pipe, not a file"
    assert reasons["im3"] == f"{collection.file(3)} is a folder"
    assert reasons["im4"] == "no file of this name in any root"


def test_an_output_inside_a_root_is_refused(collection, tmp_path):
    with pytest.raises(ConfigError, match="lies inside the image root"):
        run(IngestConfig(), collection.table, [collection.root], Path(collection.root) / "index")
    assert not (Path(collection.root) / "index").exists()


def test_a_root_without_images_beside_one_with_them_is_named_where_images_are_lost(collection, tmp_path):
    collection.file(1).unlink()
    with pytest.raises(
        DataError, match=r"raise max_lost_pct; image root C:\\more is a Windows path; under WSL it is /mnt/c"
    ):
        run(IngestConfig(), collection.table, [collection.root, "C:\\more"], tmp_path / "out")


@pytest.mark.parametrize(
    ("names", "note"),
    [
        (
            ["0001", "0002", "12"],
            "3 image ids found as another spelling of a number, the first: 1.0 (file 0001)",
        ),
        (["1", "2", "12"], "3 image ids found as another spelling of a number, the first: 1.0 (file 1)"),
    ],
)
def test_an_id_that_became_a_number_is_found(collection, tmp_path, names, note):
    for number, name in enumerate(names):
        collection.file(number).rename(collection.file(number).with_name(f"{name}.jpg"))
    collection.write_table(image_id={0: "1.0", 1: "2.0", 2: "12.0"})
    run(IngestConfig(), collection.table, [collection.root], tmp_path / "out")
    assert note in json.loads((tmp_path / "out" / "ingest.json").read_text())["notes"]


def test_two_ids_never_share_a_file_by_their_number_or_case(collection, tmp_path):
    collection.file(0).rename(collection.file(0).with_name("007.jpg"))
    collection.write_table(image_id={0: "7", 1: "7.0", 2: "IM5"})
    index = index_of(run(LOSE_ALL, collection.table, [collection.root], tmp_path / "out"))
    assert index.loc[["7", "7.0", "IM5"], "verdict"].tolist() == ["missing"] * 3


def test_overlapping_roots_and_files_outside_the_table_are_no_conflict(collection, tmp_path):
    (collection.folder / "images" / "other.jpg").write_bytes(b"?")
    roots = [collection.root, str(collection.folder), collection.root]
    result = run(IngestConfig(), collection.table, roots, tmp_path / "out")
    assert result.ok == 8
    notes = json.loads((tmp_path / "out" / "ingest.json").read_text())["notes"]
    assert notes == ["1 image file not in the table, the first is other"]


def test_a_lesion_with_two_labels_loses_all_its_images_and_one_label_is_kept(collection, tmp_path):
    collection.write_table(dx={1: "mel", 3: "bcc"})
    index = index_of(run(LOSE_ALL, collection.table, [collection.root], tmp_path / "out"))
    assert index.loc[["im0", "im1"], "verdict"].tolist() == ["conflicting_diagnosis"] * 2
    assert "nv (im0), mel (im1)" in index.loc["im0", "reason"]
    assert index.loc[["im2", "im3"], "verdict"].tolist() == ["ok", "ok"]
    notes = json.loads((tmp_path / "out" / "ingest.json").read_text())["notes"]
    assert "1 lesion with several diagnoses of the same label" in notes[0]


def test_an_excluded_diagnosis_is_left_out_without_being_lost(collection, tmp_path):
    config = IngestConfig(label_policy="ham10000-without-akiec", max_lost_pct=0)
    result = run(config, collection.table, [collection.root], tmp_path / "out")
    assert (result.counts, result.lost) == ({"excluded_diagnosis": 1, "ok": 7}, 0)
    assert index_of(result).loc["im6", "label"] == -1


def test_a_table_of_one_class_is_said_loudly_with_its_counts(collection, tmp_path, caplog):
    run(IngestConfig(), collection.table, [collection.root], tmp_path / "both")
    assert "one class" not in caplog.text
    collection.write_table(dx=dict.fromkeys(range(8), "nv"))
    run(IngestConfig(), collection.table, [collection.root], tmp_path / "one")
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "the table holds one class only: 8 benign and 0 malignant images by label policy ham10000: nothing can be "
        "trained on this index"
    ]


def test_an_unknown_diagnosis_names_the_known_ones(collection, tmp_path):
    collection.write_table(dx={4: "wart", 5: ""})
    index = index_of(run(LOSE_ALL, collection.table, [collection.root], tmp_path / "out"))
    assert "'wart' is not in policy ham10000 (akiec" in index.loc["im4", "reason"]
    assert index.loc["im5", ["verdict", "reason"]].tolist() == ["unknown_diagnosis", "the table has no diagnosis here"]


def test_further_columns_are_carried_for_a_split_of_ones_own(collection, tmp_path):
    for i, row in enumerate(collection.rows):
        row["my_split"] = "test" if i % 2 else "train"
    collection.write_table()
    result = run(IngestConfig(), collection.table, [collection.root], tmp_path / "out")
    columns = pd.read_parquet(result.path / "index.parquet").columns.tolist()
    assert columns == [*COLUMNS[:-1], "my_split", "thumbnail"]


def test_a_second_ingest_decodes_nothing_and_gives_the_same_bytes(collection, tmp_path, monkeypatch):
    first = run(IngestConfig(), collection.table, [collection.root], tmp_path / "out")
    before = (tmp_path / "out" / "artifact.json").read_bytes()
    monkeypatch.setattr(inspect, "inspect", lambda *_: pytest.fail("decoded again"))
    second = run(IngestConfig(), collection.table, [collection.root], tmp_path / "out")
    assert (first.unchanged, second.unchanged) == (0, 8)
    assert (tmp_path / "out" / "artifact.json").read_bytes() == before


def test_a_cache_serves_another_output_and_sees_what_changed(collection, tmp_path):
    config = IngestConfig(cache=str(tmp_path / "cache"), max_lost_pct=100)
    run(config, collection.table, [collection.root], tmp_path / "one")
    again = run(config, collection.table, [collection.root], tmp_path / "two")
    assert again.unchanged == 8
    assert (tmp_path / "one/artifact.json").read_bytes() == (tmp_path / "two/artifact.json").read_bytes()
    collection.file(0).write_bytes(collection.file(0).read_bytes()[:-50])
    changed = run(config, collection.table, [collection.root], tmp_path / "three")
    assert (changed.unchanged, changed.counts) == (7, {"corrupt": 1, "ok": 7})
    fresh = run(LOSE_ALL, collection.table, [collection.root], tmp_path / "four")
    assert fresh.unchanged == 0
    assert (tmp_path / "three/artifact.json").read_bytes() == (tmp_path / "four/artifact.json").read_bytes()


def test_a_damaged_cache_costs_time_and_nothing_else(collection, tmp_path):
    config = IngestConfig(cache=str(tmp_path / "cache"))
    run(config, collection.table, [collection.root], tmp_path / "one")
    for file in (tmp_path / "cache").iterdir():
        file.write_bytes(file.read_bytes()[:100])
    assert run(config, collection.table, [collection.root], tmp_path / "two").unchanged == 0


def test_the_same_bytes_under_another_suffix_are_judged_anew(collection, tmp_path):
    config = IngestConfig(cache=str(tmp_path / "cache"), max_lost_pct=100)
    run(config, collection.table, [collection.root], tmp_path / "one")
    collection.file(0).rename(collection.folder / "images" / "im0.png")
    assert run(config, collection.table, [collection.root], tmp_path / "two").counts == {"mislabelled": 1, "ok": 7}


def test_the_number_of_threads_changes_nothing(collection, tmp_path):
    digests = set()
    for threads in (1, 2, 16):
        run(IngestConfig(threads=threads), collection.table, [collection.root], tmp_path / "out")
        digests.add((tmp_path / "out" / "artifact.json").read_bytes())
        shutil.rmtree(tmp_path / "out")
    assert len(digests) == 1


def test_local_images_are_read_by_as_many_threads_as_the_container_has_cores(collection, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "components.ingest.run.check_images",
        lambda candidates, cache, threads: asked.append(threads) or check_images(candidates, cache, threads),
    )
    monkeypatch.setattr("components.ingest.run.usable_cores", lambda: 3)
    assert run(IngestConfig(), collection.table, [collection.root], tmp_path / "out").ok == 8
    assert asked == [3]


def test_a_foreign_folder_is_left_alone_before_any_work(collection, tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    monkeypatch.setattr(inspect, "inspect", lambda *_: pytest.fail("worked for nothing"))
    with pytest.raises(ArtifactError, match="already exists"):
        run(IngestConfig(), collection.table, [collection.root], tmp_path / "out")
    assert (tmp_path / "out" / "thesis.txt").read_text() == "years of work"


def test_the_command_does_the_same(collection, tmp_path, capsys):
    arguments = ["--metadata", collection.table, "--images", collection.root, "--out", str(tmp_path / "out")]
    assert main([*arguments, "--label_policy", "ham10000-without-akiec"]) == 0
    assert main([*arguments, "--max_lost_pct", "101"]) == 2
    assert "max_lost_pct: received '101'; allowed: a number >= 0 and <= 100" in capsys.readouterr().err
    assert main([*arguments, "--label_policy", "ham"]) == 2
    with pytest.raises(ConfigError):
        IngestConfig.parse({"threads": -1})


def test_thumbnails_show_the_picture_upright(collection, tmp_path):
    index = index_of(run(IngestConfig(), collection.table, [collection.root], tmp_path / "out"))
    small = cv2.imdecode(np.frombuffer(index.loc["im0", "thumbnail"], np.uint8), cv2.IMREAD_COLOR)
    whole = cv2.imread(str(collection.file(0)))
    assert np.abs(cv2.resize(whole, small.shape[1::-1], interpolation=cv2.INTER_AREA).astype(int) - small).mean() < 6


def account_of(out):
    return json.loads((out / "ingest.json").read_text())


def test_equal_bytes_with_different_labels_are_never_trained_on(collection, tmp_path):
    collection.file(5).write_bytes(collection.file(0).read_bytes())  # nv and bcc
    collection.file(7).write_bytes(collection.file(4).read_bytes())  # df and bkl, both benign
    index = index_of(run(LOSE_ALL, collection.table, [collection.root], tmp_path / "out"))
    assert index.loc[["im0", "im5"], "verdict"].tolist() == ["conflicting_diagnosis"] * 2
    assert index.loc["im0", "reason"] == "files with the same bytes have different labels: nv (im0), bcc (im5)"
    assert index.loc[["im4", "im7"], "verdict"].tolist() == ["ok"] * 2
    assert account_of(tmp_path / "out")["notes"] == [
        "2 images have the same bytes as one with another label and are left out",
        "2 images have the same bytes as another one of the table, the first is im4",
    ]


def test_an_error_page_saved_as_two_images_is_named_as_such_and_not_as_two_diagnoses(collection, tmp_path):
    for i in (0, 5):  # nv and bcc
        collection.file(i).write_bytes(b"<!DOCTYPE html><html><body>502 Bad Gateway</body></html>")
    index = index_of(run(LOSE_ALL, collection.table, [collection.root], tmp_path / "out"))
    assert index.loc[["im0", "im5"], "reason"].str.contains("web page").all()
    assert "conflicting_diagnosis" not in set(index["verdict"])


def test_patients_licences_and_kinds_are_carried_counted_and_filtered(collection, tmp_path):
    for i, row in enumerate(collection.rows):
        row |= {"patient_id": f"P{i // 4}", "license": ("CC BY 4.0", "CC-0", "CC-BY-NC", "")[i % 4]}
        row |= {"image_type": "dermoscopic" if i < 6 else "clinical: close-up"}
    collection.write_table()
    result = run(IngestConfig(), collection.table, [collection.root], tmp_path / "all")
    index = pd.read_parquet(result.path / "index.parquet")
    assert index.columns.tolist() == [*COLUMNS[:-1], "patient_id", "licence", "image_type", "thumbnail"]
    assert index["patient_id"].tolist() == ["P0"] * 4 + ["P1"] * 4
    account = account_of(tmp_path / "all")
    assert account["licences"] == {"CC BY 4.0": 2, "CC-0": 2, "CC-BY-NC": 2, "unknown": 2}
    assert account["image_types"] == {"clinical: close-up": 2, "dermoscopic": 6}
    assert (account["table"]["lesion_ids"], account["table"]["patient_ids"]) == (6, 2)
    config = IngestConfig(licences=["cc-by", "CC0"], image_types=["Dermoscopic"])
    kept = run(config, collection.table, [collection.root], tmp_path / "some")
    assert index_of(kept).index.tolist() == ["im0", "im1", "im4", "im5"]
    assert "4 of 8 images left out: licences keeps only cc-by, CC0" in account_of(tmp_path / "some")["notes"]
    assert open_artifact(tmp_path / "some", "index").made_from != open_artifact(tmp_path / "all", "index").made_from


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"licences": ["CC-0"]}, "the table has no column for it; name the column: columns: {licence: NAME}"),
        (
            {"image_types": ["x"], "columns": {"image_type": "dataset"}},
            "no image of the table has one of these, it has a",
        ),
    ],
)
def test_a_filter_that_cannot_be_applied_is_refused(collection, tmp_path, config, message):
    with pytest.raises(DataError) as caught:
        run(IngestConfig.parse(config), collection.table, [collection.root], tmp_path / "out")
    assert message in str(caught.value)


def test_the_account_says_how_the_table_was_read(collection, tmp_path):
    run(IngestConfig(), collection.table, [collection.root], tmp_path / "out")
    assert account_of(tmp_path / "out")["table"] == {
        "layout": "ham10000",
        "label_policy": "ham10000",
        "columns": {
            "image_id": "image_id", "lesion_id": "lesion_id", "diagnosis": "dx", "dx_type": "dx_type", "age": "age",
            "sex": "sex", "localization": "localization", "dataset": "dataset",
        },
        "lesion_ids": 6,
        "patient_ids": 0,
    }  # fmt: skip


def test_any_table_is_read_by_a_mapping_on_the_command_line(collection, tmp_path, capsys):
    table = tmp_path / "mine.csv"
    table.write_text(
        "file;class;case\n" + "".join(f"images/im{i}.JPG;{'yes' if i < 2 else 'no'};P\n" for i in range(8))
    )
    arguments = ["--metadata", str(table), "--images", collection.root, "--out", str(tmp_path / "out")]
    assert main([*arguments, "--columns", "{image_id: file, label: class, patient_id: case}"]) == 0
    index = pd.read_parquet(tmp_path / "out" / "index.parquet")
    assert (index["label"].tolist(), set(index["patient_id"])) == ([1, 1, 0, 0, 0, 0, 0, 0], {"P"})
    assert main([*arguments, "--columns", "{image_id: fil, label: class}"]) == 2
    assert "has no column 'fil'; did you mean file? it has file, class, case" in capsys.readouterr().err
    assert main([*arguments, "--columns", "{image_id"]) == 2


def test_images_are_found_in_another_case_and_another_unicode_form_if_there_is_one(collection, tmp_path):
    collection.file(0).rename(collection.folder / "images" / "IM0.jpg")
    collection.file(1).rename(collection.folder / "images" / "la\u0308sion.jpg")  # as a Mac writes it
    for name in ("IM2.jpg", "Im2.jpg"):
        shutil.copy(collection.file(2), collection.folder / "images" / name)
    collection.file(2).unlink()
    collection.write_table(image_id={1: "l\u00e4sion"})
    index = index_of(run(LOSE_ALL, collection.table, [collection.root], tmp_path / "out"))
    assert index.loc[["im0", "l\u00e4sion", "im2"], "verdict"].tolist() == ["ok", "ok", "missing"]
    notes = account_of(tmp_path / "out")["notes"]
    assert "1 image id found in another case only, the first: im0 (file IM0)" in notes
    assert "2 image files not in the table, the first is IM2" in notes


def test_a_folder_in_the_id_chooses_between_files_of_the_same_name(collection, tmp_path):
    for folder, number in (("left", 0), ("right", 3)):
        (collection.folder / "images" / folder).mkdir()
        shutil.copy(collection.file(number), collection.folder / "images" / folder / "same.jpg")
    collection.write_table(image_id={0: "right/same.jpg"})
    index = index_of(run(LOSE_ALL, collection.table, [collection.root], tmp_path / "out"))
    assert index.loc["same", "uri"].endswith("right/same.jpg")


@pytest.mark.parametrize(
    ("root", "message"),
    [
        ("{0}/images.zip", "images.zip is an archive, not a folder: unpack it and give the folder"),
        ("{0}/images.tar.xz", "images.tar.xz is an archive, not a folder: unpack it and give the folder"),
        ("{0}/images/im0.jpg", "im0.jpg is a file, not a folder: give the folder that holds it"),
        ("{0}/images/*.jpg", r"\*.jpg is a pattern, not a folder: give the folder itself"),
        ("{0}/images,{0}/more", "names several folders in one value: give each as a value of its own"),
        ("{0}/more; {0}/images", "names several folders in one value: give each as a value of its own"),
        ("{0}/images {0}/more", "names several folders in one value: give each as a value of its own"),
        ("{0}/link", "link is a broken link"),
        ("C:\\Users\\me\\derm", "is a Windows path; under WSL it is /mnt/c/Users/me/derm"),
        ("D:/derm", "is a Windows path; under WSL it is /mnt/d/derm"),
        (r"\\server\derm", "is a Windows network path"),
        ("{0}/nowhere", "nowhere does not exist"),
    ],
)
def test_a_root_that_is_not_a_folder_is_told_what_it_is(collection, tmp_path, root, message):
    shutil.make_archive(str(collection.folder / "images"), "zip", collection.root)
    (collection.folder / "images.tar.xz").write_bytes(b"\xfd7zXZ\0")
    (collection.folder / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(DataError, match=message):
        run(IngestConfig(), collection.table, [root.format(collection.folder)], tmp_path / "out")


def test_raising_the_limit_is_not_advised_where_every_row_fails_for_its_label(collection, tmp_path):
    collection.write_table(dx=dict.fromkeys(range(8), ""))
    with pytest.raises(DataError) as caught:
        run(IngestConfig(), collection.table, [collection.root], tmp_path / "out")
    assert "raise max_lost_pct" not in str(caught.value)
    assert "choose a label_policy that knows or excludes them, or name the column of the label in columns" in str(
        caught.value
    )


@pytest.mark.real
@pytest.mark.skipif(not REAL.is_dir(), reason=f"no reference data at {REAL}")
def test_the_reference_data_is_whole(tmp_path):
    roots = [str(REAL / f"HAM10000_images_part_{i}") for i in (1, 2)]
    result = run(IngestConfig(max_lost_pct=0), str(REAL / "HAM10000_metadata.csv"), roots, tmp_path / "out")
    assert (result.rows, result.ok, result.malignant) == (10015, 10015, 1954)
    index = index_of(result)
    assert index["lesion_id"].nunique() == 7470
    assert index["dx"].value_counts().to_dict() == {
        "nv": 6705, "mel": 1113, "bkl": 1099, "bcc": 514, "akiec": 327, "vasc": 142, "df": 115,
    }  # fmt: skip
    assert int(index["age"].isna().sum()) == 57
    assert io.BytesIO(index["thumbnail"].iloc[0]).read(2) == b"\xff\xd8"


def test_for_validation_rows_without_a_label_are_listed_and_cost_nothing(collection, tmp_path):
    table = collection.write_table(dx=dict.fromkeys(range(5), "wart"))
    with pytest.raises(DataError):
        run(IngestConfig(), table, [collection.root], tmp_path / "stopped")
    result = run(IngestConfig(unlabelled="keep", max_lost_pct=0), table, [collection.root], tmp_path / "index")
    assert (result.ok, result.lost) == (3, 0)
    assert result.counts["unknown_diagnosis"] == 5
