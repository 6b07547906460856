"""What of a clinic's index the bundle is shown, and what it has seen before."""

import numpy as np
import pandas as pd
import pytest

from components.common.bundle.fingerprints import CHOSEN, TRAINED, Fingerprints
from components.common.bundle.selftest import generated_image
from components.common.imaging.picture_key import picture_keys
from components.common.imaging.thumbnail import make_thumbnail
from components.common.runtime.errors import DataError
from components.validate.material import SAME_LESION, group_ids, refuse_overlap, sort_images

SHA = [f"{number:064x}" for number in range(1, 9)]


@pytest.fixture(scope="module")
def thumbnails():
    return [make_thumbnail(generated_image(seed)) for seed in range(8)]


@pytest.fixture
def index(thumbnails):
    return pd.DataFrame(
        {
            "image_id": [f"i{number}" for number in range(8)],
            "lesion_id": ["L0", "L0", "L1", "L2", "L3", "L4", "L5", "L6"],
            "group_id": "",
            "label": [1, 1, 0, 0, 1, -1, -1, 0],
            "verdict": ["ok"] * 5 + ["unknown_diagnosis"] * 2 + ["corrupt"],
            "sha256": SHA,
            "thumbnail": [*thumbnails[:6], b"", b""],
        }
    )


def known(sha256, thumbnail):
    """Trained on a file with these bytes, chosen on a picture with this thumbnail and other bytes."""
    both = np.frombuffer(bytes.fromhex(sha256) + bytes.fromhex("f" * 64), np.uint8).reshape(2, 32)
    part = np.array([TRAINED, CHOSEN], np.uint8)
    return Fingerprints(both, picture_keys([b"", thumbnail]), part, np.zeros((0, 16), np.uint8))


def test_images_the_bundle_has_seen_are_named_and_left_out_with_their_lesions(index, thumbnails):
    material = sort_images(index, known(SHA[0], thumbnails[3]))
    assert material.seen[["image_id", "how", "part"]].to_numpy().tolist() == [
        ["i0", "bytes", "train"],
        ["i1", SAME_LESION, ""],
        ["i3", "near-duplicate", "val"],
    ]
    assert material.labelled["image_id"].tolist() == ["i2", "i4"]
    overlap = material.overlap
    assert (overlap.images, overlap.seen, overlap.left_out, overlap.examples) == (6, 2, 3, ["i0", "i3"])


def test_images_without_a_label_are_apart_and_files_that_cannot_be_read_are_neither(index):
    material = sort_images(index, None)
    assert material.labelled["image_id"].tolist() == ["i0", "i1", "i2", "i3", "i4"]
    assert material.unlabelled["image_id"].tolist() == ["i5"]
    assert material.unusable["image_id"].tolist() == ["i6", "i7"]
    assert not material.overlap.known


def test_more_overlap_than_allowed_stops_with_numbers_and_a_way_out(index, thumbnails):
    overlap = sort_images(index, known(SHA[0], thumbnails[3])).overlap
    refuse_overlap(overlap, 34)
    said = r"on 2 of 6 images \(33\.3 %; 1 by equal bytes, 1 near-duplicates\), at most 5 % may be: i0, i3; .* or raise"
    with pytest.raises(DataError, match=said):
        refuse_overlap(overlap, 5)


def test_images_of_one_patient_one_lesion_or_one_file_are_one_group():
    rows = pd.DataFrame(
        {
            "lesion_id": ["b", "a", "c", "d", "e"],
            "patient_id": ["P", "P", "", "", ""],
            "sha256": ["1", "2", "3", "3", "4"],
        }
    )
    assert group_ids(rows).tolist() == ["a", "a", "c", "c", "e"]
