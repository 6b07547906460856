"""`lesionflow predict` as a function, and the check of a bundle before it."""

import csv
import json
import os
import shutil
import subprocess
import sys

import pytest

from components.common.bundle.verify import verify_bundle
from components.common.runtime.errors import ArtifactError, ConfigError
from pipelines.cli import predictions
from pipelines.cli.bundle_commands import find_images, predict
from pipelines.cli.predictions import Prediction


@pytest.fixture
def folder(kit, tmp_path):
    images = tmp_path / "images" / "deeper"
    images.mkdir(parents=True)
    for seed in range(3):
        (images / f"image_{seed}.JPG").write_bytes(kit.jpeg(seed))
    good = kit.jpeg(0)
    hole = bytearray(kit.jpeg(9, 450, 600))
    hole[len(hole) // 2 : len(hole) // 2 + 4096] = bytes(4096)
    (images.parent / "broken.jpg").write_bytes(good[: len(good) // 2])
    (images.parent / "hole.jpg").write_bytes(bytes(hole))
    (images.parent / "empty.png").write_bytes(b"")
    (images.parent / "notes.txt").write_text("not asked about")
    return tmp_path / "images"


def test_a_folder_with_broken_images_gives_a_row_for_each(exported, bundle, kit, folder):
    rows = predict(exported.path, [str(folder), str(folder / "absent.jpg")])
    by_name = {row.image.rsplit("/", 1)[-1]: row for row in rows}
    assert [name for name in by_name if by_name[name].status == "ok"] == [f"image_{i}.JPG" for i in range(3)]
    for name in ("broken.jpg", "hole.jpg", "empty.png", "absent.jpg"):
        row = by_name[name]
        assert row.decision == "not readable"
        assert row.probability is None
        assert row.logit is None
        assert row.reason
        assert "\n" not in row.reason
    assert by_name["absent.jpg"].status == "missing"
    expected = bundle.predict([kit.jpeg(1)])
    assert by_name["image_1.JPG"].probability == pytest.approx(float(expected.probability[0]), abs=1e-6)
    assert {row.policy_id for row in rows} == {bundle.policy.policy_id}


def test_a_dicom_file_has_the_probability_of_its_jpeg_to_the_bit(exported, kit, dicom_file, tmp_path):
    uid = pytest.importorskip("pydicom.uid")
    for seed, fragments in enumerate((1, 4)):
        (tmp_path / f"{seed}.jpg").write_bytes(kit.jpeg(seed))
        (tmp_path / f"{seed}.dcm").write_bytes(dicom_file(kit.jpeg(seed), fragments=fragments, offsets=seed == 0))
    (tmp_path / "ct.dcm").write_bytes(dicom_file(kit.jpeg(0), sop_class=uid.CTImageStorage))
    (tmp_path / "cut.dcm").write_bytes(dicom_file(kit.jpeg(0))[:900])
    rows = {row.image.rsplit("/", 1)[-1]: row for row in predict(exported.path, [str(tmp_path)])}
    for seed in range(2):
        wrapped, plain = rows[f"{seed}.dcm"], rows[f"{seed}.jpg"]
        assert (wrapped.status, wrapped.probability, wrapped.logit) == ("ok", plain.probability, plain.logit)
    assert (rows["ct.dcm"].status, rows["cut.dcm"].status) == ("unsupported", "corrupt")
    assert rows["ct.dcm"].reason.startswith("a DICOM object of class CT Image Storage, modality XC; VL Photographic")


def test_what_is_too_large_or_no_file_is_not_read(exported, tmp_path):
    huge = tmp_path / "huge.jpg"
    with huge.open("wb") as handle:
        handle.truncate(2 * 2**30)
    rows = predict(exported.path, [str(huge), "/dev/zero"])
    assert [(row.status, row.reason) for row in rows] == [
        ("too_large", "2147483648 bytes; at most 268435456 are read"),
        ("not_an_image", "not a regular file"),
    ]


def test_files_folders_and_globs_name_each_image_once(folder):
    found = find_images([str(folder / "deeper" / "image_1.JPG"), str(folder), str(folder / "**" / "*_2.JPG")])
    names = [path.name for path in found]
    assert names[0] == "image_1.JPG"
    assert sorted(names) == ["broken.jpg", "empty.png", "hole.jpg", "image_0.JPG", "image_1.JPG", "image_2.JPG"]


def test_a_folder_or_glob_without_images_is_one_clear_line(tmp_path):
    for name in (str(tmp_path), str(tmp_path / "*.jpg")):
        with pytest.raises(ConfigError, match="no image there; expected a file, a folder or a glob"):
            find_images([name])


def test_table_json_and_csv_say_the_same(exported, folder):
    rows = predict(exported.path, [str(folder / "deeper"), str(folder / "empty.png")])
    table = predictions.table(rows).splitlines()
    assert table[0].split() == ["image", "probability", "decision", "threshold", "policy", "reason"]
    records = json.loads(predictions.as_json(rows))
    cells = list(csv.DictReader(predictions.as_csv(rows).splitlines()))
    assert len(records) == len(table) - 1 == len(cells) == 4
    for record, line, cell in zip(records, table[1:], cells, strict=True):
        shown = "-" if record["probability"] is None else f"{record['probability']:.4f}"
        assert line.split()[:3] == [record["image"], shown, record["decision"].split()[0]]
        assert cell == {name: "" if value is None else str(value) for name, value in record.items()}


NAMES = [
    b"a.jpg\nb.jpg  0.0001  benign.jpg",
    b"\x1b[2J\x1b[1;1Hclean.jpg",
    "\u202egpj.exe\u2028.jpg".encode(),
    b"caf\xe9.jpg",
    "café.jpg".encode(),
    b"=cmd|' C calc'!A0.jpg",
    b"+1.jpg",
    "\uff1d1+1.jpg".encode(),
    b'a,b";c\r.jpg',
    b"-v.jpg",
]


def test_a_name_of_any_kind_is_one_harmless_row_in_every_form(exported, kit, tmp_path):
    for name in NAMES:
        (tmp_path / os.fsdecode(name)).write_bytes(kit.jpeg(0))
    for form, encoding in (("", "ascii"), ("--json", "ascii"), ("--csv", "ascii"), ("--csv", "utf-8"), ("", "utf-8")):
        command = [sys.executable, "-m", "pipelines.cli.main", "predict", str(exported.path), "."]
        environment = os.environ | {"PYTHONIOENCODING": f"{encoding}:strict", "PYTHONPATH": os.getcwd()}  # noqa: PTH109
        done = subprocess.run(
            [*command, *form.split()], cwd=tmp_path, env=environment, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
        out = done.stdout.decode(encoding)
        assert all(mark == "\n" or mark.isprintable() for mark in out)
        if form == "--json":
            assert len(json.loads(out)) == len(NAMES)
            continue
        assert len(out.splitlines()) == len(NAMES) + 1
        shown = "caf\\xe9.jpg", ("café" if encoding == "utf-8" else "caf\\xe9") + ".jpg", "a.jpg\\nb.jpg", "\\u202egpj"
        assert all(text in out for text in shown)
        for row in csv.reader(out.splitlines()) if form else ():
            assert not any(cell.startswith(("=", "+", "@", "\uff1d")) for cell in row)


def test_a_spreadsheet_sees_no_formula():
    rows = [Prediction(name, "ok", "benign", 0.25, 0.5, -1.5, "@p", "") for name in ("=1", "-2.jpg", "\uff20x", "a=1")]
    cells = list(csv.reader(predictions.as_csv(rows).splitlines()))[1:]  # the last cell is the distance, not asked for
    assert [row[0] for row in cells] == ["'=1", "'-2.jpg", "'\uff20x", "a=1"]
    assert {tuple(row[1:]) for row in cells} == {("ok", "benign", "0.25", "0.5", "-1.5", "'@p", "", "")}


def test_a_name_that_is_too_long_is_a_row(exported, kit, tmp_path):
    (tmp_path / "good.jpg").write_bytes(kit.jpeg(0))
    rows = predict(exported.path, [str(tmp_path / ("a" * 300 + ".jpg")), str(tmp_path / "good.jpg")])
    assert [row.status for row in rows] == ["missing", "ok"]
    assert rows[0].reason == "File name too long"


def test_verify_describes_a_good_bundle_and_refuses_an_edited_one(exported, tmp_path):
    known = verify_bundle(exported.path)
    assert known.files >= 12
    copy = shutil.copytree(exported.path, tmp_path / "bundle")
    (copy / "model_card.md").write_text("the best model ever")
    with pytest.raises(ArtifactError, match=r"model_card\.md: sha256 is"):
        verify_bundle(copy)
    with pytest.raises(ArtifactError, match=r"model_card\.md: sha256 is"):
        predict(copy, [str(tmp_path)])
