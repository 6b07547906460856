import json
import logging
import subprocess
import sys
import textwrap

import cv2
import numpy as np
import pytest
from PIL import Image

from components.common.artifacts.folder import open_artifact, sha256_bytes
from components.common.artifacts.json_file import read_json
from components.common.artifacts.record import decode_record
from components.common.artifacts.records_manifest import SCHEMA
from components.common.artifacts.tfrecord import read_tfrecord
from components.common.imaging.inspect import decode_rgb, inspect
from components.common.imaging.pixels import encode_jpeg, shrink
from components.common.runtime.errors import ArtifactError, DataError
from components.records.config import RecordsConfig
from components.records.run import run


def picture(seed):
    noise = np.random.default_rng(seed)
    field = cv2.resize(noise.uniform(40, 220, (7, 9, 3)).astype(np.float32), (80, 60))
    return np.clip(field + noise.normal(0, 5, field.shape), 0, 255).astype(np.uint8)


def records_of(path, split):
    shards = read_json(path / "manifest.json", SCHEMA)["splits"][split]["shards"]
    return [decode_record(one) for shard in shards for one in read_tfrecord(path / shard["name"])]


def bytes_of(path):
    return {p.name: p.read_bytes() for p in path.iterdir()}


def test_every_image_arrives_small_with_its_facts(data, tmp_path):
    made = data()
    result = run(RecordsConfig(record_size=30), made.artifact(), tmp_path / "out")
    assert result.found == result.expected == {"train": 36, "val": 12, "test": 12}
    rows = made.rows.set_index("image_id")
    for split in ("train", "val", "test"):
        for one in records_of(tmp_path / "out", split):
            row = rows.loc[one.image_id]
            assert (one.lesion_id, one.group_id, one.dx, one.label) == tuple(
                row[["lesion_id", "group_id", "dx", "label"]]
            )
            side = (60, 80) if split == "val" else (30, 40)  # validation keeps its bytes, as serving gets them
            assert decode_rgb(one.image).shape == (one.height, one.width, 3) == (*side, 3)
            assert one.weight == pytest.approx(result.class_weight if one.label else 1.0)
    assert open_artifact(tmp_path / "out", "records").made_from.keys() == {"split"}


def test_val_and_test_keep_the_order_of_the_split_and_train_is_mixed(data, tmp_path):
    made = data()
    run(RecordsConfig(record_size=30), made.artifact(), tmp_path / "out")
    for split in ("val", "test"):
        expected = made.rows["image_id"][made.split == split].tolist()
        assert [one.image_id for one in records_of(tmp_path / "out", split)] == expected
    train = [one.image_id for one in records_of(tmp_path / "out", "train")]
    assert train != sorted(train)
    assert sorted(train) == made.rows["image_id"][made.split == "train"].tolist()


def test_threads_and_repetition_change_no_byte(data, tmp_path):
    split = data().artifact()
    run(RecordsConfig(record_size=30, workers=1, shard_bytes=20_000), split, tmp_path / "a")
    run(RecordsConfig(record_size=30, workers=7, shard_bytes=20_000), split, tmp_path / "b")
    assert bytes_of(tmp_path / "a") == bytes_of(tmp_path / "b")


def test_shards_are_closed_at_the_target_size(data, tmp_path):
    result = run(RecordsConfig(record_size=30, shard_bytes=6_000), data().artifact(), tmp_path / "out")
    shards = read_json(tmp_path / "out" / "manifest.json", SCHEMA)["splits"]["train"]["shards"]
    assert result.shards > len(shards) > 2
    assert shards[0]["name"] == f"train-00000-of-{len(shards):05d}.tfrecord"
    assert all(6_000 <= shard["bytes"] < 9_000 for shard in shards[:-1])
    assert sum(shard["records"] for shard in shards) == 36
    for shard in shards:
        data_ = (tmp_path / "out" / shard["name"]).read_bytes()
        assert (len(data_), sha256_bytes(data_)) == (shard["bytes"], shard["sha256"])


@pytest.mark.parametrize("size", [None, 60, 500])
def test_bytes_that_need_no_change_are_kept(data, tmp_path, size):
    made = data()
    run(RecordsConfig(record_size=size), made.artifact(), tmp_path / "out")
    first = records_of(tmp_path / "out", "test")[0]
    assert first.image == (made.images / f"{first.image_id}.jpg").read_bytes()
    assert (first.width, first.height) == (80, 60)


def test_grey_and_turned_images_are_prepared_even_when_small(data, tmp_path):
    made = data()
    made.rows.loc[made.split == "test", "orientation"] = 6
    run(RecordsConfig(record_size=500), made.artifact(), tmp_path / "out")
    first = records_of(tmp_path / "out", "test")[0]
    assert first.image != (made.images / f"{first.image_id}.jpg").read_bytes()


def test_original_keeps_every_byte_of_every_kind_and_training_sees_it_upright_in_colour(data, tmp_path):
    made = data()
    grey, turned, png = np.flatnonzero(made.split == "train")[:3]
    stored = picture(4)
    exif = Image.Exif()
    exif[0x0112] = 6
    for i, (image, kind, options) in {
        grey: (Image.fromarray(stored[..., 0]), "JPEG", {}),
        turned: (Image.fromarray(stored), "JPEG", {"exif": exif}),
        png: (Image.fromarray(stored), "PNG", {}),
    }.items():
        image.save(made.file(i), kind, **options)
        seen = inspect(made.file(i).read_bytes(), f"a.{kind.lower()}")
        assert seen.verdict == "ok"
        facts = {
            "sha256": sha256_bytes(made.file(i).read_bytes()),
            "width": seen.width,
            "height": seen.height,
            "format": seen.format,
            "channels": seen.channels,
            "orientation": seen.orientation,
        }
        for name, value in facts.items():
            made.rows.loc[i, name] = value
    split = made.artifact()
    run(RecordsConfig.parse({"record_size": "original"}), split, tmp_path / "original")
    run(RecordsConfig(record_size=30), split, tmp_path / "small")
    original = {
        one.image_id: one for name in ("train", "val", "test") for one in records_of(tmp_path / "original", name)
    }
    assert len(original) == len(made.rows)
    for one in original.values():
        assert one.image == made.file(int(one.image_id[2:])).read_bytes()
        assert decode_rgb(one.image).shape == (one.height, one.width, 3)
    small = {one.image_id: one for one in records_of(tmp_path / "small", "train")}
    for i in (grey, turned, png):
        name = made.rows["image_id"][i]
        assert small[name].image[:3] == b"\xff\xd8\xff"
        expected = shrink(decode_rgb(original[name].image), 30)
        assert decode_rgb(small[name].image).shape == expected.shape
        assert np.abs(decode_rgb(small[name].image).astype(int) - expected).mean() < 2.5
    assert original[made.rows["image_id"][turned]].height > original[made.rows["image_id"][turned]].width


def test_validation_keeps_the_very_bytes_that_serving_will_get(data, tmp_path):
    made = data()
    run(RecordsConfig(record_size=30), made.artifact(), tmp_path / "out")
    for one in records_of(tmp_path / "out", "val"):
        assert one.image == (made.images / f"{one.image_id}.jpg").read_bytes()


def test_tensorflow_reads_the_same_records(data, tmp_path):
    run(RecordsConfig(record_size=30, shard_bytes=6_000), data().artifact(), tmp_path / "out")
    script = """
        import sys, glob, hashlib, tensorflow as tf
        for f in sorted(glob.glob(sys.argv[1] + "/*.tfrecord")):
            for r in tf.data.TFRecordDataset(f):
                print(hashlib.sha256(r.numpy()).hexdigest())
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), tmp_path / "out"], check=True, capture_output=True, text=True
    )
    ours = [sha256_bytes(one) for p in sorted((tmp_path / "out").glob("*.tfrecord")) for one in read_tfrecord(p)]
    assert done.stdout.split() == ours


def test_the_integrity_check_counts_and_names(data, tmp_path, caplog):
    made = data()
    made.lose([3], "corrupt")
    made.file(4).unlink()  # gone since ingest
    made.file(6).write_bytes(encode_jpeg(np.zeros((60, 80, 3), np.uint8), 90))  # another picture since ingest
    with caplog.at_level(logging.INFO):
        result = run(RecordsConfig(record_size=30, max_lost_pct=5.0), made.artifact(), tmp_path / "out")
    manifest = read_json(tmp_path / "out" / "manifest.json", SCHEMA)
    reasons = {one["image_id"]: one["reason"] for one in manifest["lost"]}
    assert reasons["im0003"] == "corrupt: planted"
    assert reasons["im0004"].startswith("missing: ")
    assert reasons["im0006"].startswith("changed: ")
    assert sum(result.expected.values()) - sum(result.found.values()) == len(manifest["lost"]) == 3
    for split in manifest["splits"].values():
        assert split["expected"] == split["found"] + split["lost"]
        assert split["found"] == sum(shard["records"] for shard in split["shards"])
        assert split["label_counts"] == {
            k: sum(shard["label_counts"][k] for shard in split["shards"]) for k in ("0", "1")
        }
    text = caplog.text
    assert f"image root {made.images}: exists" in text
    assert f"image root {made.folder / 'gone'}: DOES NOT EXIST" in text
    assert "im0003 (corrupt: planted)" in text
    assert "lost by reason: " in text
    (line,) = [one for one in caplog.messages if one.startswith("all ")]
    assert line.split() == ["all", "60", "57", "3", "5.00", "3", "0"]


def test_the_class_weight_follows_what_was_found(data, tmp_path):
    made = data(200)
    train = np.flatnonzero((made.split == "train") & (made.rows["label"] == 0))[:6]
    for i in train:  # found out only while reading: the weight is already inside written records
        made.file(i).unlink()
    result = run(RecordsConfig(record_size=30), made.artifact(), tmp_path / "out")
    counts = read_json(tmp_path / "out" / "class_weight.json", "lesionflow.class_weight/1")["counts"]
    assert result.class_weight == counts["0"] / counts["1"]
    found = records_of(tmp_path / "out", "train")
    assert counts == {"0": sum(not one.label for one in found), "1": sum(one.label for one in found)}
    assert [one.weight for one in found if one.label] == pytest.approx([result.class_weight] * counts["1"])
    again = tmp_path / "again"
    made.lose(train)
    run(RecordsConfig(record_size=30), made.artifact("split2"), again)
    for shard in again.glob("train-*.tfrecord"):  # known before or found out: the same shards
        assert shard.read_bytes() == (tmp_path / "out" / shard.name).read_bytes()


def test_too_much_loss_stops_before_anything_is_read(data, tmp_path):
    made = data()
    made.lose(range(4))
    with pytest.raises(DataError, match=r"4 of 60 images lost \(6.67 %\), more than max_lost_pct 5: benign 3 of 48"):
        run(RecordsConfig(record_size=30), made.artifact(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_loss_found_while_reading_leaves_nothing_behind(data, tmp_path):
    made = data()
    for i in range(4):
        made.file(i).unlink()
    with pytest.raises(DataError, match=r"4 of 60 images lost"):
        run(RecordsConfig(record_size=30), made.artifact(), tmp_path / "out")
    assert list(tmp_path.iterdir()) == [made.folder]


def test_loss_of_one_class_stops_below_the_limit(data, tmp_path):
    made = data(200)
    made.lose(np.flatnonzero(made.rows["label"] == 1)[:6])
    with pytest.raises(DataError, match=r"differs between the classes: benign 0 of 160 .* malignant 6 of 40 .*p = "):
        run(RecordsConfig(record_size=30), made.artifact(), tmp_path / "out")


def test_a_split_that_names_an_unknown_image_is_refused(data, tmp_path):
    made = data()
    path = made.artifact()
    table = (path / "split.csv").read_text().replace("im0007", "im9999")
    (path / "split.csv").write_text(table)
    with pytest.raises(ArtifactError):
        run(RecordsConfig(record_size=30), path, tmp_path / "out")


def test_manifest_lists_diagnoses_and_settings(data, tmp_path):
    run(RecordsConfig(record_size=30, jpeg_quality=80), data().artifact(), tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert (manifest["record_size"], manifest["jpeg_quality"]) == (30, 80)
    assert manifest["dx_classes"] == {"mel": 1, "nv": 0}
