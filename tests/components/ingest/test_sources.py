"""What was given as a folder of images and is none is told what it is, also in a bucket."""

import pytest

from components.common.runtime.errors import DataError
from components.ingest.sources import list_roots


def test_what_lies_in_a_bucket_in_place_of_a_folder_is_named(gcs):
    for name in ("given/images.zip", "given/one.jpg"):
        gcs.put(name, b"PK\3\4")
    for root, words in {
        "given/images.zip": "is an archive, not a folder: unpack it and give the prefix",
        "given/one.jpg": "is an object, not a folder: give the prefix that holds it",
        "given/*.jpg": "is a pattern, not a folder: give the folder itself",
        "given/nothing": "does not exist",
    }.items():
        with pytest.raises(DataError) as caught:
            list_roots([gcs.uri(root)])
        assert f"{gcs.uri(root)} {words}" in str(caught.value)
