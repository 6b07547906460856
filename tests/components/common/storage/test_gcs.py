"""A real GCS server, and that server behind everything a network does to it."""

import random

import pytest

from components.common.storage import retry, store
from components.common.storage.store import StorageError


def test_objects_are_listed_read_fetched_written(gcs, tmp_path):
    uri = gcs.put("one/a.jpg", b"first")
    gcs.put("one/deep/b.PNG", b"second!")
    gcs.put("one/notes.txt", b"no image")
    gcs.put("one/.hidden/c.jpg", b"no")
    gcs.put("one-more/d.jpg", b"another prefix")
    found = store.list_images(gcs.uri("one"))
    assert [(item.uri, item.name, item.size) for item in found] == [
        (gcs.uri("one/a.jpg"), "a.jpg", 5),
        (gcs.uri("one/deep/b.PNG"), "b.PNG", 7),
    ]
    assert all(item.version and item.crc32c for item in found)
    assert store.read_object(found[1]) == b"second!"
    assert store.fetch(uri, tmp_path / "new").read_bytes() == b"first"
    (tmp_path / "folder" / "sub").mkdir(parents=True)
    (tmp_path / "folder" / "sub" / "x.txt").write_bytes(b"up")
    store.upload(tmp_path / "folder", gcs.uri("up"))
    assert store.read_bytes(gcs.uri("up/sub/x.txt")) == b"up"


def test_names_with_odd_characters_are_kept(gcs):
    uri = gcs.put("odd/a b+c%20#é.jpg", b"x")
    assert [item.uri for item in store.list_images(gcs.uri("odd/"))] == [uri]
    assert store.read_bytes(uri) == b"x"


def test_absent_objects_prefixes_and_buckets_are_not_found(gcs):
    gcs.put("there/a.jpg", b"1")
    assert store.exists(gcs.uri("there")) and store.exists(gcs.uri("there/a.jpg"))
    assert not store.exists(gcs.uri("ther")) and not store.exists("gs://no-such-bucket/x")
    for call in (store.read_bytes, store.list_images):
        for uri in (gcs.uri("absent"), "gs://no-such-bucket/x"):
            with pytest.raises(FileNotFoundError, match="no such"):
                call(uri)


def test_an_overwritten_object_is_not_mixed_up(gcs):
    gcs.put("changing/a.jpg", b"first")
    before = store.list_images(gcs.uri("changing"))[0]
    gcs.put("changing/a.jpg", b"second one")
    after = store.list_images(gcs.uri("changing"))[0]
    assert before.version != after.version
    assert store.read_object(after) == b"second one"
    with pytest.raises((FileNotFoundError, StorageError)):
        store.read_object(before)


@pytest.mark.parametrize("fault", ["503", "reset", "truncated", "cut", "flipped", "stalled"])
def test_a_fault_that_passes_is_retried(gcs, behind, fault, monkeypatch):
    monkeypatch.setattr(retry, "SILENCE_S", 0.2)
    data = random.Random(1).randbytes(50_000)
    uri = gcs.put("flaky/a.jpg", data)
    proxy = behind(gcs, lambda count, path: fault if count <= 3 else "")
    assert store.read_bytes(uri) == data
    assert store.read_object(store.list_images(gcs.uri("flaky"))[0]) == data
    assert proxy.done[fault] == 3


@pytest.mark.parametrize("fault", ["503", "reset", "truncated", "flipped"])
def test_a_fault_that_stays_is_an_error_in_words(gcs, behind, fault):
    uri = gcs.put("broken/a.jpg", random.Random(2).randbytes(5000))
    proxy = behind(gcs, lambda count, path: fault)
    with pytest.raises(StorageError, match=f"failed {retry.ATTEMPTS} times"):
        store.read_bytes(uri)
    assert proxy.done[fault] == retry.ATTEMPTS


def test_a_page_of_a_listing_that_fails_is_asked_for_again_and_not_the_listing(gcs, behind, monkeypatch):
    uris = [gcs.put(f"many/{i:02d}.jpg", b"x") for i in range(30)]
    monkeypatch.setattr("components.common.storage.gcs._PAGE", 5)
    proxy = behind(gcs, pages=lambda count, path: ("503", "reset", "cut", "")[count % 4])
    assert [item.uri for item in store.list_images(gcs.uri("many"))] == uris
    assert 6 <= proxy.asked["list"] <= 7 * 4


def test_a_listing_that_keeps_failing_is_an_error_in_words(gcs, behind):
    behind(gcs, pages=lambda count, path: "503")
    with pytest.raises(StorageError, match=r"listing gs://skin/many: failed \d times"):
        store.list_images(gcs.uri("many"))
