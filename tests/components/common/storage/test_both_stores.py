"""A real GCS server and a real S3 server, and each behind everything a network does to it."""

import random

import pytest

from components.common.storage import retry, store
from components.common.storage.retry import StorageError


@pytest.fixture(params=["gcs", "s3"])
def scheme(request):
    return request.param


@pytest.fixture
def bucket(scheme, request, monkeypatch):
    monkeypatch.setattr(store, "_clients", {})
    return request.getfixturevalue(scheme)


def test_objects_are_listed_read_fetched_written(bucket, scheme, tmp_path):
    uri = bucket.put("one/a.jpg", b"first")
    bucket.put("one/deep/b.PNG", b"second!")
    bucket.put("one/notes.txt", b"no image")
    bucket.put("one/.hidden/c.jpg", b"no")
    bucket.put("one-more/d.jpg", b"another prefix")
    found = store.list_images(bucket.uri("one"))
    assert [(item.uri, item.name, item.size) for item in found] == [
        (bucket.uri("one/a.jpg"), "a.jpg", 5),
        (bucket.uri("one/deep/b.PNG"), "b.PNG", 7),
    ]
    assert all(item.version and (item.crc32c or scheme == "s3") for item in found)
    assert store.read_object(found[1]) == b"second!"
    assert store.fetch(uri, tmp_path / "new").read_bytes() == b"first"
    (tmp_path / "folder" / "sub").mkdir(parents=True)
    (tmp_path / "folder" / "sub" / "x.txt").write_bytes(b"up")
    store.upload(tmp_path / "folder", bucket.uri("up"))
    assert store.read_bytes(bucket.uri("up/sub/x.txt")) == b"up"


def test_names_with_odd_characters_are_kept(bucket):
    uri = bucket.put("odd/a b+c%20#é.jpg", b"x")
    assert [item.uri for item in store.list_images(bucket.uri("odd/"))] == [uri]
    assert store.read_bytes(uri) == b"x"


def test_absent_objects_prefixes_and_buckets_are_not_found(bucket, scheme):
    nowhere = f"{'gs' if scheme == 'gcs' else 's3'}://no-such-bucket/x"
    bucket.put("there/a.jpg", b"1")
    assert store.exists(bucket.uri("there")) and store.exists(bucket.uri("there/a.jpg"))
    assert scheme == "gcs" or store.exists(bucket.uri())
    assert not store.exists(bucket.uri("ther")) and not store.exists(nowhere)
    for call in (store.read_bytes, store.list_images):
        for uri in (bucket.uri("absent"), nowhere):
            with pytest.raises(FileNotFoundError, match="no such"):
                call(uri)


@pytest.mark.parametrize("fault", ["503", "reset", "truncated", "cut", "flipped", "stalled"])
def test_a_fault_that_passes_is_retried(bucket, behind, fault, monkeypatch):
    monkeypatch.setattr(retry, "SILENCE_S", 0.2)
    data = random.Random(1).randbytes(50_000)
    uri = bucket.put("flaky/a.jpg", data)
    proxy = behind(bucket, lambda count, path: fault if count <= 3 else "")
    assert store.read_bytes(uri) == data
    assert store.read_object(store.list_images(bucket.uri("flaky"))[0]) == data
    assert proxy.done[fault] == 3


@pytest.mark.parametrize("fault", ["503", "reset", "truncated", "flipped"])
def test_a_fault_that_stays_is_an_error_in_words(bucket, scheme, behind, fault):
    uri = bucket.put("broken/a.jpg", random.Random(2).randbytes(5000))
    proxy = behind(bucket, lambda count, path: fault)
    with pytest.raises(StorageError, match=f"failed {retry.ATTEMPTS} times"):
        store.read_bytes(uri)
    # the client under the S3 client asks once more where a connection was closed before any answer
    assert proxy.done[fault] == retry.ATTEMPTS * (2 if scheme == "s3" and fault == "reset" else 1)


def test_a_page_of_a_listing_that_fails_is_asked_for_again_and_not_the_listing(bucket, scheme, behind, monkeypatch):
    uris = [bucket.put(f"many/{i:02d}.jpg", b"x") for i in range(30)]
    monkeypatch.setattr(f"components.common.storage.{scheme}._PAGE", 5)
    proxy = behind(bucket, pages=lambda count, path: ("503", "reset", "cut", "")[count % 4])
    assert [item.uri for item in store.list_images(bucket.uri("many"))] == uris
    assert 6 <= proxy.asked["list"] <= 7 * 4


def test_a_listing_that_keeps_failing_is_an_error_in_words(bucket, behind):
    behind(bucket, pages=lambda count, path: "503")
    with pytest.raises(StorageError, match=rf"listing {bucket.uri('many')}: failed {retry.ATTEMPTS} times"):
        store.list_images(bucket.uri("many"))


def test_an_overwritten_object_is_not_mixed_up(bucket):
    bucket.put("changing/a.jpg", b"first")
    before = store.list_images(bucket.uri("changing"))[0]
    bucket.put("changing/a.jpg", b"other")
    after = store.list_images(bucket.uri("changing"))[0]
    assert before.version != after.version
    assert store.read_object(after) == b"other"
    # one store keeps no old generation, the other refuses the old ETag
    with pytest.raises(
        (FileNotFoundError, StorageError), match=r"no such bucket or object|has changed since it was listed"
    ):
        store.read_object(before)
