"""Fingerprints: what they hold, what they know again, and files that are none."""

import numpy as np
import pandas as pd
import pytest

from components.common.artifacts.npz import read_npz, write_npz
from components.common.artifacts.split import Split, SplitRecord
from components.common.bundle.fingerprints import fingerprints_of, keys_of, read_fingerprints
from components.common.runtime.errors import ArtifactError

SHA = [f"{number:064x}" for number in range(1, 8)]
KEYS = [np.random.default_rng(number).bytes(32).hex() for number in range(7)]


@pytest.fixture
def split():
    rows = pd.DataFrame(
        {
            "image_id": [f"i{number}" for number in range(7)],
            "lesion_id": ["L0", "L0", "L1", "L2", "L3", "L4", "L5"],
            "group_id": ["L0", "L0", "L1", "L2", "L3", "L4", "L5"],
            "patient_id": ["", "", "P1", "P2", "", "", ""],
            "sha256": SHA,
            "picture_key": KEYS,
            "verdict": ["ok", "ok", "ok", "ok", "corrupt", "ok", "ok"],
            "split": ["train", "train", "val", "train", "train", "test", "test"],
        }
    )
    return Split(rows, SplitRecord("stratified", 0, "a" * 64, {}))


def test_usable_images_of_train_and_validation_are_in_and_those_of_test_are_not(split, tmp_path):
    fingerprints_of(split).save(tmp_path)
    known = read_fingerprints(tmp_path)
    assert len(known) == 4
    seen = known.seen(SHA, keys_of(KEYS))
    assert seen["how"].tolist() == ["bytes"] * 4 + ["", "", ""]
    assert seen["part"].tolist() == ["train", "train", "val", "train", "", "", ""]


def test_a_copy_with_other_bytes_is_a_near_duplicate(split):
    key = bytearray.fromhex(KEYS[2])
    key[5] ^= 0b1011
    seen = fingerprints_of(split).seen(["f" * 64], keys_of([bytes(key).hex()]))
    assert seen.to_dict("records") == [{"how": "near-duplicate", "part": "val"}]


def test_ids_are_known_again_by_their_column(split):
    asked = pd.DataFrame({"lesion_id": ["P1", "L2", "L9"], "patient_id": ["P1", "", "L1"]})
    assert fingerprints_of(split).shared_ids(asked) == {"lesion_id": ["L2"], "patient_id": ["P1"]}


def test_an_index_without_thumbnails_knows_bytes_only(split):
    known = fingerprints_of(Split(split.rows.drop(columns="picture_key"), split.record))
    assert not known.pictures_known
    assert known.seen([SHA[0], "f" * 64], keys_of(KEYS[:2]))["how"].tolist() == ["bytes", ""]


def test_equal_splits_give_equal_bytes(split, tmp_path):
    shuffled = Split(split.rows.sample(frac=1, random_state=1), split.record)
    for name, one in (("a", split), ("b", shuffled)):
        (tmp_path / name).mkdir()
        fingerprints_of(one).save(tmp_path / name)
    assert (tmp_path / "a/fingerprints.npz").read_bytes() == (tmp_path / "b/fingerprints.npz").read_bytes()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"schema": np.array(["lesionflow.fingerprints/9"])}, "received 'lesionflow.fingerprints/9'"),
        ({"picture": np.zeros((4, 31), np.uint8)}, r"picture has shape \(4, 31\), expected \(4, 32\)"),
        ({"part": np.full(4, 7, np.uint8)}, "part holds other numbers"),
        ({"extra": np.zeros(4)}, "expected lesionflow.fingerprints/1"),
    ],
)
def test_a_file_that_is_none_is_refused(split, tmp_path, change, says):
    fingerprints_of(split).save(tmp_path)
    path = tmp_path / "fingerprints.npz"
    write_npz(path, read_npz(path) | change)
    with pytest.raises(ArtifactError, match=says):
        read_fingerprints(tmp_path)


def test_a_damaged_file_is_refused(tmp_path):
    (tmp_path / "fingerprints.npz").write_bytes(b"PK")
    with pytest.raises(ArtifactError, match="not readable as fingerprints"):
        read_fingerprints(tmp_path)


def test_a_bundle_without_them_says_so(tmp_path):
    assert read_fingerprints(tmp_path) is None
