import numpy as np
import pytest

from components.common.runtime.errors import ArtifactError, DataError
from components.train.records import dx_classes, load_split, read_manifest

SIZE = (32, 40)


def test_rows_and_images_come_in_record_order(records):
    data = load_split(records, "train", SIZE, "memory")
    assert len(data.rows) == 96
    assert data.cached
    assert list(data.rows.image_id[:2]) == ["train0_0000", "train0_0001"]
    classes = dx_classes(read_manifest(records))
    assert list(classes) == ["bkl", "mel", "nv"]
    np.testing.assert_array_equal(data.rows.label, np.array(list(classes.values()))[data.rows.dx])
    assert data.images.get(0).shape == (32, 40, 3)


def test_streaming_gives_the_same_pixels_as_the_cache(records):
    cached, streamed = (load_split(records, "val", SIZE, how) for how in ("memory", "stream"))
    assert not streamed.cached
    for i in (0, 23, 24, 47):  # both sides of the shard boundary
        np.testing.assert_array_equal(cached.images.get(i), streamed.images.get(i))


def test_auto_streams_where_memory_is_short(records, monkeypatch):
    monkeypatch.setattr("components.train.records.available_bytes", lambda: 1000)
    assert not load_split(records, "val", SIZE, "auto").cached
    monkeypatch.setattr("components.train.records.available_bytes", lambda: 2**33)
    assert load_split(records, "val", SIZE, "auto").cached


def test_a_damaged_record_names_its_shard(kit, tmp_path):
    folder = kit.make_records(tmp_path / "records", train=8, val=8)
    path = folder / "train-00001-of-00002.tfrecord"
    data = bytearray(path.read_bytes())
    data[200] ^= 255
    path.write_bytes(bytes(data))
    with pytest.raises(ArtifactError, match=r"train-00001-of-00002\.tfrecord: record 0"):
        load_split(folder, "train", SIZE, "memory")


def test_a_shard_of_another_length_is_refused(kit, tmp_path):
    folder = kit.make_records(tmp_path / "records", train=8, val=8)
    (folder / "val-00000-of-00002.tfrecord").write_bytes(b"")
    with pytest.raises(ArtifactError, match="holds 0 records, the manifest says 4"):
        load_split(folder, "val", SIZE, "memory")


def test_an_absent_split_is_refused(records):
    with pytest.raises(DataError, match="'test' holds no image"):
        load_split(records, "test", SIZE, "memory")
