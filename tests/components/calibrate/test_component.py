import json

import numpy as np
import pytest
from kfp import dsl

from components.calibrate.component import calibrate
from components.common.artifacts.policy import load_policy


@pytest.fixture
def made(model_of, sim, tmp_path):
    model = dsl.Model(uri=str(model_of(sim(500, 0, weight=4.0), np.log(4.0))))
    policy, metrics = dsl.Artifact(uri=str(tmp_path / "policy")), dsl.Metrics(uri=str(tmp_path / "metrics"))
    calibrate.python_func(model=model, policy=policy, metrics=metrics, config={"target_sensitivity": 0.85})
    return tmp_path / "policy", metrics


def test_the_component_writes_a_policy_and_finite_python_numbers(made):
    folder, metrics = made
    policy = load_policy(folder / "decision_policy.json")
    assert policy.operating_point["target_sensitivity"] == 0.85
    assert metrics.metadata["threshold_probability"] == policy.threshold_probability
    assert {type(value) for value in metrics.metadata.values()} == {float}
    json.dumps(metrics.metadata, allow_nan=False)
