import json
import math

import numpy as np
import pytest

from components.common.artifacts.class_weight import CLASS_WEIGHT, read_logit_offset
from components.common.runtime.errors import ConfigError, DataError
from components.train.class_balance import loss_weights, write_balance
from components.train.config import TrainConfig

LABEL = np.array([0] * 30 + [1] * 10, np.int8)


@pytest.mark.parametrize("mode", ["class_weight", "sample_weight"])
def test_weights_have_mean_one_and_the_ratio_of_the_counts(mode, tmp_path):
    weights = loss_weights(mode, LABEL)
    assert weights[LABEL].mean() == pytest.approx(1.0)
    assert weights[1] / weights[0] == pytest.approx(3.0)
    write_balance(tmp_path, mode, LABEL)
    record = json.loads((tmp_path / CLASS_WEIGHT).read_text())
    assert record["logit_offset"] == pytest.approx(math.log(3.0))
    assert record["weights"]["1"] / record["weights"]["0"] == pytest.approx(3.0)
    assert record["class_balance"] == mode
    assert record["counts"] == {"0": 30, "1": 10}


def test_no_weights_cause_no_offset(tmp_path):
    write_balance(tmp_path, "none", LABEL)
    assert json.loads((tmp_path / CLASS_WEIGHT).read_text())["weights"] == {"0": 1.0, "1": 1.0}
    assert read_logit_offset(tmp_path) == 0.0


def test_an_absent_class_is_refused():
    with pytest.raises(DataError, match="both classes"):
        loss_weights("class_weight", np.zeros(4, np.int8))


def test_naming_both_ways_is_refused_when_the_configuration_is_read():
    with pytest.raises(ConfigError, match=r"class_balance"):
        TrainConfig.parse({"class_balance": "class_weight,sample_weight"})
