"""Table 1: every usable image counted once per characteristic, in images, lesions and patients."""

import numpy as np
import pandas as pd
import pytest

from components.common.artifacts.characteristics import load_characteristics
from components.common.artifacts.split import Split, SplitRecord
from components.evaluate.characteristics import characteristics


def split_of(**columns):
    rows = pd.DataFrame(
        {
            "image_id": list("abcdef"), "lesion_id": ["L1", "L1", "L2", "L3", "L4", "L5"], "verdict": "ok",
            "split": ["train", "train", "train", "val", "test", "test"], "label": [1, 1, 0, 0, 1, 0],
            "age": [40.0, 50.0, np.nan, 0.0, 81.0, 60.0], "sex": ["female", "female", "male", "unknown", "", "male"],
            "localization": "unknown", "dx": ["mel", "mel", "nv", "nv", "bcc", "nv"], "dx_type": "unknown",
            "dataset": "clinic",
        }
    ).assign(**columns)  # fmt: skip
    return Split(rows, SplitRecord("test", 0, "a" * 64, {}))


def level(found, column, value):
    (one,) = [one for one in found.columns if one.name == column]
    return {one.value: one.counts for one in one.levels}[value]


def test_images_and_lesions_of_each_split_are_counted():
    found = characteristics(split_of())
    assert [(found.all[name].images, found.all[name].lesions) for name in ("train", "val", "test")] == [
        (3, 2),
        (1, 1),
        (2, 2),
    ]
    assert (found.malignant["train"].images, found.malignant["train"].lesions) == (2, 1)
    assert (level(found, "sex", "female")["train"].images, level(found, "sex", "female")["train"].lesions) == (2, 1)
    assert level(found, "dx", "nv")["val"].images == 1


def test_what_is_missing_is_counted_like_every_other_value():
    found = characteristics(split_of())
    assert [level(found, "sex", "unknown")[name].images for name in ("train", "val", "test")] == [0, 1, 1]
    assert [level(found, "age", "unknown")[name].images for name in ("train", "val", "test")] == [1, 1, 0]
    assert level(found, "source", "unknown")["train"].images == 0  # a row of zeros says that nothing is missing
    assert found.absent == ["site", "dx_type", "skin_type"]
    for column in found.columns:
        for name in ("train", "val", "test"):
            assert sum(one.counts[name].images for one in column.levels) == found.all[name].images


def test_quartiles_of_age_leave_out_what_is_not_known():
    found = characteristics(split_of())
    assert (found.age["train"].lower, found.age["train"].median, found.age["train"].upper) == (42.5, 45, 47.5)
    assert found.age["val"].median is None  # 0 is written for adults of unknown age


def test_an_unusable_image_is_not_counted():
    found = characteristics(split_of(verdict=["ok", "missing", "ok", "ok", "ok", "ok"]))
    assert found.all["train"].images == 2


@pytest.mark.parametrize(
    ("patients", "expected"), [(["p", "p", "", "q", "r", "r"], [1, 1, 1]), ([""] * 6, [None, None, None])]
)
def test_patients_are_counted_where_the_table_names_them(patients, expected):
    found = characteristics(split_of(patient_id=patients))
    assert [found.all[name].patients for name in ("train", "val", "test")] == expected


def test_skin_types_are_in_the_table_where_they_are_known():
    found = characteristics(split_of(skin_type=["1", "1", "2", "6", "unknown", "2"]))
    assert "skin_type" not in found.absent
    (column,) = [one for one in found.columns if one.name == "skin_type"]
    assert [one.value for one in column.levels] == ["1", "2", "6", "unknown"]


def test_it_is_written_and_read(tmp_path):
    found = characteristics(split_of())
    found.save(tmp_path / "characteristics.json")
    assert load_characteristics(tmp_path / "characteristics.json") == found
    assert load_characteristics(tmp_path / "absent.json") is None
