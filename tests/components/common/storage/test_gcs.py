"""What a real GCS server does by itself; what both stores do is in `test_both_stores`."""

import pytest

from components.common.storage import store
from components.common.storage.retry import StorageError


def test_an_overwritten_object_is_not_mixed_up(gcs):
    gcs.put("changing/a.jpg", b"first")
    before = store.list_images(gcs.uri("changing"))[0]
    gcs.put("changing/a.jpg", b"second one")
    after = store.list_images(gcs.uri("changing"))[0]
    assert before.version != after.version
    assert store.read_object(after) == b"second one"
    with pytest.raises((FileNotFoundError, StorageError)):
        store.read_object(before)


def test_a_listing_that_keeps_failing_is_an_error_in_words(gcs, behind):
    behind(gcs, pages=lambda count, path: "503")
    with pytest.raises(StorageError, match=r"listing gs://skin/many: failed \d times"):
        store.list_images(gcs.uri("many"))
