"""With a cache unchanged files are not read again, what changed is seen, and the index is the same byte for byte."""

import os

import pytest

from components.common.storage import store
from components.ingest.config import IngestConfig
from components.ingest.run import run


@pytest.fixture
def settled(monkeypatch):
    """Files count as settled at once, so that the test need not wait."""
    monkeypatch.setattr(store, "SETTLED_NS", -(10**12))


@pytest.fixture
def reads(monkeypatch):
    """How many images were read."""
    seen = []
    original = store.read_object
    monkeypatch.setattr(store, "read_object", lambda item: seen.append(item.name) or original(item))
    return seen


def index_bytes(out):
    return (out / "index.parquet").read_bytes(), (out / "ingest.json").read_bytes()


def test_unchanged_files_are_not_read_again_and_the_index_is_equal(collection, tmp_path, settled, reads):
    config = IngestConfig(cache=str(tmp_path / "cache"))
    first = run(config, collection.table, [collection.root], tmp_path / "a")
    assert len(reads) == 8
    again = run(config, collection.table, [collection.root], tmp_path / "b")
    assert (len(reads), again.unchanged) == (8, 8)
    assert (again.ok, again.malignant, again.counts) == (first.ok, first.malignant, first.counts)
    assert index_bytes(tmp_path / "a") == index_bytes(tmp_path / "b")


def test_one_changed_file_is_read_and_judged_anew_even_with_its_old_time(collection, tmp_path, settled, reads):
    config = IngestConfig(cache=str(tmp_path / "cache"), max_lost_pct=100)
    run(config, collection.table, [collection.root], tmp_path / "a")
    path, before = collection.file(3), collection.file(3).stat()
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    reads.clear()
    assert run(config, collection.table, [collection.root], tmp_path / "b").counts == {"corrupt": 1, "ok": 7}
    assert reads == ["im3.jpg"]


def test_rehash_reads_every_image(collection, tmp_path, settled, reads):
    run(IngestConfig(cache=str(tmp_path / "cache")), collection.table, [collection.root], tmp_path / "a")
    reads.clear()
    config = IngestConfig(cache=str(tmp_path / "cache"), rehash=True)
    assert run(config, collection.table, [collection.root], tmp_path / "b").unchanged == 8
    assert len(reads) == 8


def test_without_a_cache_every_image_is_hashed(collection, tmp_path, settled, reads):
    for _ in range(2):
        run(IngestConfig(), collection.table, [collection.root], tmp_path / "a")
    assert len(reads) == 16


def test_files_changed_a_moment_ago_have_no_stamp(collection, tmp_path, reads):
    config = IngestConfig(cache=str(tmp_path / "cache"))
    for out in ("a", "b"):
        run(config, collection.table, [collection.root], tmp_path / out)
    assert len(reads) == 16


def test_a_changed_table_is_read_anew(collection, tmp_path, settled, reads):
    config = IngestConfig(cache=str(tmp_path / "cache"))
    run(config, collection.table, [collection.root], tmp_path / "a")
    reads.clear()
    collection.write_table(dx={6: "nv", 7: "nv"})
    assert run(config, collection.table, [collection.root], tmp_path / "b").malignant == 3
    assert reads == []
