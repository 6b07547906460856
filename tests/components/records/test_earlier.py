"""A second build of the same keeps the records; whatever is otherwise, they are made anew."""

import json
import logging
import os
import shutil

import numpy as np
import pytest

from components.common.artifacts.folder import read_json, sha256_file, write_json
from components.common.imaging.pixels import encode_jpeg
from components.common.runtime.errors import ArtifactError, DataError
from components.records.config import RecordsConfig
from components.records.manifest import recipe
from components.records.run import run

CONFIG = RecordsConfig(record_size=30, shard_bytes=20_000)


def bytes_of(path):
    return {p.name: p.read_bytes() for p in path.iterdir()}


def untouched(path):
    """What tells a folder and its files from others of the same content, put in their place."""
    return {(one.st_ino, one.st_mtime_ns, one.st_ctime_ns) for one in (p.stat() for p in (path, *path.iterdir()))}


def lines(caplog):
    """What the step says, without the line that tells kept from made."""
    texts = [text for text in caplog.messages if "very records" not in text and "made anew" not in text]
    caplog.clear()
    return texts


@pytest.fixture
def made(data, tmp_path):
    """Images, their split and the records of it: `made.again(config)` builds once more into the same folder."""
    images = data()
    images.split_path, images.out = images.artifact(), tmp_path / "out"
    images.again = lambda config=CONFIG: run(config, images.split_path, images.out)
    images.first = images.again()
    return images


def kept(made, caplog, config=CONFIG):
    """Builds again; says whether the folder stayed, after holding it against a build in a place of its own."""
    before = untouched(made.out)
    with caplog.at_level(logging.INFO):
        caplog.clear()
        result = made.again(config)
    fresh = made.out.with_name("fresh")
    calm = run(config, made.split_path, fresh)
    assert bytes_of(made.out) == bytes_of(fresh)
    assert result.metrics() == calm.metrics()
    shutil.rmtree(fresh)
    assert sorted(p.name for p in made.out.parent.iterdir()) == ["data", "out"]
    same = untouched(made.out) == before
    assert same == any("very records" in text for text in caplog.messages)
    return same


def test_the_same_once_more_is_kept_untouched_and_says_what_a_build_says(made, caplog, tmp_path, monkeypatch):
    monkeypatch.setenv("LESIONFLOW_EVENTS", str(tmp_path / "data" / "first.jsonl"))
    with caplog.at_level(logging.INFO):
        first = run(CONFIG, made.split_path, tmp_path / "other")
        said = lines(caplog)
        monkeypatch.setenv("LESIONFLOW_EVENTS", str(tmp_path / "data" / "second.jsonl"))
        second = run(CONFIG, made.split_path, tmp_path / "other")
        assert lines(caplog) == said
    assert any(text.startswith("integrity ") for text in said)
    assert first == second
    events = [
        [json.loads(line) for line in (tmp_path / "data" / name).read_text().splitlines()]
        for name in ("first.jsonl", "second.jsonl")
    ]
    assert events[0][0] == events[1][0] == {"event": "progress", "what": "records", "done": 0, "total": 60, "note": ""}
    assert events[0][-2:] == events[1][-2:] == [events[0][0] | {"done": 60, "note": note} for note in ("test", "")]
    shutil.rmtree(tmp_path / "other")
    assert kept(made, caplog)


@pytest.mark.parametrize("change", [{"workers": 3}, {"max_lost_pct": 1.0}])
def test_parameters_that_change_no_byte_change_nothing(made, caplog, change):
    assert kept(made, caplog, CONFIG.model_copy(update=change))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"record_size": 31}, "record_size was 30 and is 31"),
        ({"record_size": None}, "record_size was 30 and is None"),
        ({"jpeg_quality": 90}, "jpeg_quality was 95 and is 90"),
        ({"shard_bytes": 30_000}, "shard_bytes was 20000 and is 30000"),
    ],
)
def test_another_setting_makes_them_anew_and_is_named(made, caplog, change, said):
    assert not kept(made, caplog, CONFIG.model_copy(update=change))
    assert f"the records at {made.out} are made anew: {said}" in caplog.messages


def test_every_parameter_is_in_the_recipe_or_known_to_change_no_byte():
    assert set(RecordsConfig.model_fields) - set(recipe(CONFIG)) == {"max_lost_pct", "workers"}


def test_another_split_makes_them_anew(made, caplog):
    made.rows.loc[5, "group_id"] = "another"
    made.split_path = made.artifact("split2")
    assert not kept(made, caplog)
    assert f"the records at {made.out} are made anew: they are of another split" in caplog.messages


@pytest.mark.parametrize("name", ["train-00000", "val-00000", "manifest.json", "class_weight.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "missing"])
def test_damage_of_any_file_makes_them_anew(made, caplog, name, damage):
    (path,) = made.out.glob(f"{name}*")
    data = bytearray(path.read_bytes())
    if damage == "missing":
        path.unlink()
    else:
        data[len(data) // 2] ^= 1
        path.write_bytes({"flip": data, "cut": data[:-1], "empty": b""}[damage])
    assert not kept(made, caplog)
    assert any("are made anew: " in text and path.name in text for text in caplog.messages)


def test_a_file_that_does_not_belong_makes_them_anew(made, caplog):
    (made.out / "train-00001-of-00001.tfrecord").write_bytes(b"")
    assert not kept(made, caplog)


def relisted(out, name, **changes):
    """Writes a changed JSON file, or any file as it is now, into the artifact's own list."""
    if changes:
        write_json(out / name, json.loads((out / name).read_text()) | changes)
    record = json.loads((out / "artifact.json").read_text())
    record["files"][name] = sha256_file(out / name)
    write_json(out / "artifact.json", record)


DULL = {"image_id": "im0001", "split": "val", "label": 0, "reason": "dull"}


@pytest.mark.parametrize(
    "changes", [{"made_with": {"build": 0}}, {"made_with": None}, {"dx_classes": {"nv": 0}}, {"lost": [DULL]}]
)
def test_a_whole_manifest_of_other_codecs_or_with_other_counts_makes_them_anew(made, caplog, changes):
    relisted(made.out, "manifest.json", **changes)
    assert not kept(made, caplog)


def test_a_shard_that_only_the_artifact_lists_makes_them_anew(made, caplog):
    path = next(made.out.glob("val-*"))
    path.write_bytes(path.read_bytes() + b"more")
    relisted(made.out, path.name)
    assert not kept(made, caplog)


def test_records_of_a_version_that_wrote_down_less_are_made_anew(made, caplog):
    manifest = json.loads((made.out / "manifest.json").read_text())
    del manifest["shard_bytes"], manifest["made_with"]
    write_json(made.out / "manifest.json", manifest)
    relisted(made.out, "manifest.json")
    assert not kept(made, caplog)
    assert any("shard_bytes was not written down and is 20000" in text for text in caplog.messages)


@pytest.mark.parametrize("artifact", [b"", b"{", b"[]", b'{"schema": "lesionflow.artifact/1", "kind": "split"}'])
def test_a_folder_that_cannot_be_told_for_records_is_left_alone(made, artifact):
    (made.out / "artifact.json").write_bytes(artifact)
    before = bytes_of(made.out)
    with pytest.raises(ArtifactError, match=str(made.out)):
        made.again()
    assert bytes_of(made.out) == before


def test_an_image_that_changed_is_reported_and_the_records_are_made_anew(made, caplog):
    made.file(7).write_bytes(encode_jpeg(np.zeros((60, 80, 3), np.uint8), 90))
    assert not kept(made, caplog)
    assert any("image im0007 was there and is changed: " in text for text in caplog.messages)
    (lost,) = read_json(made.out / "manifest.json", "lesionflow.records/1")["lost"]
    assert (lost["image_id"], lost["reason"].split(":")[0]) == ("im0007", "changed")


def test_one_changed_byte_is_seen_though_size_and_times_are_as_before(made, caplog):
    path, before = made.file(7), made.file(7).stat()
    data = bytearray(path.read_bytes())
    data[-9] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert not kept(made, caplog)


def test_what_is_lost_today_as_it_was_then_is_kept_and_told_again(made, caplog):
    made.file(7).unlink()
    made.lose([3], "corrupt")
    made.split_path = made.artifact("split2")
    with caplog.at_level(logging.INFO):
        made.again()
        said = lines(caplog)
        made.again()
        assert any("very records" in text for text in caplog.messages)
        assert lines(caplog) == said
    assert sum("im0007 (missing: " in text for text in said) == 1
    assert kept(made, caplog)


def test_an_image_that_was_lost_and_is_back_makes_them_anew(made, caplog):
    picture = made.file(7).read_bytes()
    made.file(7).unlink()
    assert not kept(made, caplog)
    made.file(7).write_bytes(picture)
    assert not kept(made, caplog)
    assert f"the records at {made.out} are made anew: image im0007 was missing: {made.file(7)} is gone since ingest " \
        "and is there" in caplog.messages  # fmt: skip
    assert read_json(made.out / "manifest.json", "lesionflow.records/1")["lost"] == []


def test_the_limits_hold_for_kept_records_too(made):
    made.file(7).unlink()
    made.again()
    before = bytes_of(made.out)
    with pytest.raises(DataError, match=r"1 of 60 images lost \(1.67 %\), more than max_lost_pct 1"):
        made.again(CONFIG.model_copy(update={"max_lost_pct": 1.0}))
    assert bytes_of(made.out) == before


def test_records_that_a_killed_process_had_taken_away_come_back_and_are_kept(made, caplog):
    place = made.out.with_name(".out.123-abc.partial")
    (place / "new").mkdir(parents=True)
    made.out.rename(place / "old")
    with caplog.at_level(logging.INFO):
        made.again()
    assert any("very records" in text for text in caplog.messages)
    assert not place.exists()
