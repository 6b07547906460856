"""What was given as a folder of images and is none is told what it is, also in a bucket."""

import pytest

from components.common.runtime.errors import DataError
from components.ingest.sources import list_roots, misfits


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


def test_a_file_whose_name_has_no_suffix_is_an_image_if_it_begins_as_one(tmp_path):
    files = {
        "IM0001": bytes(128) + b"DICM\2\0",
        "1.2.840.10008.7": bytes(128) + b"DICM\2\0",
        "scan": b"\xff\xd8\xff\xe0",
        "DICOMDIR.txt": bytes(128) + b"DICM\2\0",
        "notes": b"a text",
        "empty": b"",
        "IM0002.jpg": b"whatever",
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    _, found = list_roots([str(tmp_path)])
    assert sorted(found.by_id) == ["1.2.840.10008.7", "IM0001", "IM0002", "scan"]


def test_what_bears_the_name_of_an_image_is_told(tmp_path):
    for name in ("im0.json", "im1.xyz", "im2"):
        (tmp_path / name).write_bytes(b"{}")
    (tmp_path / "im3.jpg").symlink_to(tmp_path / "gone.jpg")
    (tmp_path / "im1.jpg").mkdir()
    found = misfits([str(tmp_path)])
    assert [found[f"im{i}"][0] for i in range(4)] == ["missing", "unreadable", "missing", "unreadable"]
    assert (
        found["im0"][1]
        == f"no image file of this name in any root; {tmp_path}/im0.json does not have the suffix of an image"
    )
    assert found["im1"][1] == f"{tmp_path}/im1.jpg is a folder"
