"""What is written comes back; a manifest that names a file elsewhere or lacks a field is refused."""

import json

import pytest

from components.common.artifacts.records_manifest import (
    MANIFEST,
    Lost,
    RecordsManifest,
    Shard,
    SplitRecords,
    read_manifest,
    write_manifest,
)
from components.common.runtime.errors import ArtifactError

COUNTS = {"0": 3, "1": 1}


@pytest.fixture
def manifest():
    shard = Shard("train-00000-of-00001.tfrecord", "a" * 64, 100, 4, COUNTS)
    splits = {name: SplitRecords(5, 4, 1, COUNTS, [shard] if name == "train" else []) for name in ("train", "val")}
    lost = [Lost("im1", "train", 0, "missing: no file")]
    return RecordsManifest(144, 95, {"nv": 0}, {"0": 1.0, "1": 3.0}, splits, lost, 2**26, {"opencv": "5"})


def test_what_is_written_is_read_back(manifest, tmp_path):
    write_manifest(tmp_path, manifest)
    assert read_manifest(tmp_path) == manifest


@pytest.mark.parametrize("name", ["/etc/passwd", "../other/train.tfrecord", "a/b.tfrecord", "..", "", "a\\b"])
def test_a_shard_outside_of_the_artifact_is_refused(manifest, tmp_path, name):
    write_manifest(tmp_path, manifest)
    value = json.loads((tmp_path / MANIFEST).read_text())
    value["splits"]["train"]["shards"][0]["name"] = name
    (tmp_path / MANIFEST).write_text(json.dumps(value))
    with pytest.raises(ArtifactError, match="leads out of the records artifact"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("field", ["splits", "lost", "dx_classes", "record_size"])
def test_a_missing_field_is_named(manifest, tmp_path, field):
    write_manifest(tmp_path, manifest)
    value = json.loads((tmp_path / MANIFEST).read_text())
    del value[field]
    (tmp_path / MANIFEST).write_text(json.dumps(value))
    with pytest.raises(ArtifactError, match=f"manifest.json: {field}: missing; build the records again"):
        read_manifest(tmp_path)
