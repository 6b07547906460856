"""Both classes weigh the same, and what was trained with is read back or refused by its field."""

import math

import pytest

from components.common.artifacts.class_weight import CLASS_WEIGHT, ClassWeight, read_logit_offset
from components.common.runtime.errors import ArtifactError, DataError


def test_the_reference_split_has_the_published_weight():
    weight = ClassWeight(5641, 1369)
    assert weight.weights == {"0": 1.0, "1": pytest.approx(4.1205, abs=5e-5)}
    assert weight.logit_offset == pytest.approx(math.log(4.12053), abs=1e-5)
    assert weight.record()["counts"] == {"0": 5641, "1": 1369}


def test_both_classes_weigh_the_same():
    weight = ClassWeight(30, 7)
    assert weight.benign * weight.weights["0"] == pytest.approx(weight.malignant * weight.weights["1"])


@pytest.mark.parametrize("counts", [(0, 0), (3, 0), (0, 3)])
def test_an_absent_class_is_refused(counts):
    with pytest.raises(DataError, match=r"train holds \d benign and \d malignant images; both classes are needed"):
        ClassWeight(*counts)


def test_the_offset_that_was_written_is_read_back(tmp_path):
    weight = ClassWeight(30, 7)
    weight.save(tmp_path)
    assert read_logit_offset(tmp_path) == weight.logit_offset


@pytest.mark.parametrize("value", ["null", '"much"', "[1]", "{}"])
def test_an_offset_that_is_not_a_number_is_refused_by_name(tmp_path, value):
    (tmp_path / CLASS_WEIGHT).write_text(f'{{"schema": "lesionflow.class_weight/1", "logit_offset": {value}}}')
    with pytest.raises(ArtifactError, match=r"class_weight.json: logit_offset: Input should be a valid number"):
        read_logit_offset(tmp_path)
