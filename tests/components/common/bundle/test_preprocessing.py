"""`preprocessing.json`: what was written is read back, and what does not fit is named."""

import json
from dataclasses import replace

import pytest

from components.common.bundle.preprocessing import Preprocessing, read_preprocessing
from components.common.runtime.errors import ArtifactError

KNOWN = Preprocessing(
    image_size=(36, 48),
    record_size=36,
    augmentation="flips",
    precision="float32",
    policy_id="0" * 12,
    model_sha256="1" * 64,
    formats=["JPEG"],
    steps=["decode"],
)


def test_what_was_written_is_read_back(tmp_path):
    replace(KNOWN, max_pixels=5).save(tmp_path)
    assert read_preprocessing(tmp_path) == replace(KNOWN, max_pixels=5)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("image_size", [36], "image_size.1: missing"),
        ("image_size", [36, 48.5], "image_size.1: Input should be a valid integer"),
        ("record_size", 0, "record_size: Input should be greater than or equal to 1"),
        ("augmentation", "turns", "augmentation: Input should be 'none' or 'flips'"),
        ("policy_id", None, "policy_id: Input should be a valid string"),
    ],
)
def test_a_field_that_does_not_fit_is_named(tmp_path, field, value, said):
    KNOWN.save(tmp_path)
    path = tmp_path / "preprocessing.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    with pytest.raises(ArtifactError, match=f"preprocessing.json: {said}.*export the bundle again"):
        read_preprocessing(tmp_path)
