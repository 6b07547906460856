"""`lesionflow bundle verify` and `lesionflow predict`, as functions."""

import json
import shutil

import pytest

from components.common.runtime.errors import ArtifactError, ConfigError
from pipelines.cli.bundle_commands import find_images, predict, print_predictions, verify


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


def test_what_is_too_large_or_no_file_is_not_read(exported, tmp_path):
    huge = tmp_path / "huge.jpg"
    with huge.open("wb") as handle:
        handle.truncate(2 * 2**30)
    rows = predict(exported.path, [str(huge), "/dev/zero"])
    assert [(row.status, row.reason) for row in rows] == [
        ("too_large", "2147483648 bytes; at most 268435456 are read"), ("not_an_image", "not a regular file"),
    ]  # fmt: skip


def test_files_folders_and_globs_name_each_image_once(folder):
    found = find_images([str(folder / "deeper" / "image_1.JPG"), str(folder), str(folder / "**" / "*_2.JPG")])
    names = [path.name for path in found]
    assert names[0] == "image_1.JPG"
    assert sorted(names) == ["broken.jpg", "empty.png", "hole.jpg", "image_0.JPG", "image_1.JPG", "image_2.JPG"]


def test_a_folder_or_glob_without_images_is_one_clear_line(tmp_path):
    for name in (str(tmp_path), str(tmp_path / "*.jpg")):
        with pytest.raises(ConfigError, match="no image there; expected a file, a folder or a glob"):
            find_images([name])


def test_table_and_json_say_the_same(exported, folder, capsys):
    rows = predict(exported.path, [str(folder / "deeper"), str(folder / "empty.png")])
    print_predictions(rows)
    table = capsys.readouterr().out.splitlines()
    assert table[0].split() == ["image", "probability", "decision", "threshold", "policy", "reason"]
    print_predictions(rows, as_json=True)
    records = json.loads(capsys.readouterr().out)
    assert len(records) == len(table) - 1 == 4
    for record, line in zip(records, table[1:], strict=True):
        shown = "-" if record["probability"] is None else f"{record['probability']:.4f}"
        assert line.split()[:3] == [record["image"], shown, record["decision"].split()[0]]


def test_verify_describes_a_good_bundle_and_refuses_an_edited_one(exported, tmp_path):
    known = verify(exported.path)
    assert known.files >= 12
    copy = shutil.copytree(exported.path, tmp_path / "bundle")
    (copy / "model_card.md").write_text("the best model ever")
    with pytest.raises(ArtifactError, match=r"model_card\.md: sha256 is"):
        verify(copy)
    with pytest.raises(ArtifactError, match=r"model_card\.md: sha256 is"):
        predict(copy, [str(tmp_path)])
