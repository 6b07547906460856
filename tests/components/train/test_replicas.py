"""Two devices against one: TensorFlow makes two of this machine's CPU, in a process of its own."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from components.common.artifacts.scores import load_scores
from components.common.runtime.errors import ConfigError
from components.train.device import Device
from components.train.replicas import make_strategy

SCRIPT = Path(__file__).with_name("on_two_devices.py")
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def two(records, tmp_path_factory):
    """What the script prints, and its log."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    environment.pop("KERAS_BACKEND", None)
    command = [sys.executable, str(SCRIPT), str(records), str(tmp_path_factory.mktemp("two"))]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=400, env=environment)
    assert done.returncode == 0, done.stderr
    return {**json.loads(done.stdout), "log": done.stderr}


@pytest.mark.parametrize("case", ["plain", "uneven"])
def test_two_devices_compute_what_one_computes_on_the_whole_batch(two, case):
    found = two[case]
    np.testing.assert_allclose(found["two"], found["one"], rtol=1e-5)
    assert found["weights"] < 1e-4  # a wrong loss scale or unshared batch statistics are a hundred times that
    assert found["optimizer"] < 1e-4
    assert found["scores"] < 5e-4  # logits add up the rounding of all weights
    assert found["copies"] == 0.0
    assert two["count"] == 2


def test_both_ways_of_weighting_agree_over_the_global_batch(two):
    np.testing.assert_allclose(two["plain"]["two"], two["sample_weight"], rtol=1e-5)


def test_an_overflow_on_the_second_device_alone_halves_the_scale_and_spares_the_weights(two):
    found = two["overflow"]
    assert not np.isfinite(found["losses"][1])
    assert np.isfinite(found["losses"][2:]).all()
    assert found["finite"]
    assert found["copies"] == 0.0
    assert found["scale"] == 2.0**14  # Keras begins with 2**15


def test_a_run_on_two_devices_resumes_to_the_result_of_a_calm_one(two):
    assert two["resumed"]["codes"] == [0, 75, 0], two["log"]
    calm, model = (Path(two["resumed"][name]) for name in ("calm", "model"))
    for name in ("history.csv", "val_probs.npz"):
        assert (calm / name).exists()
    left, right = (load_scores(folder / "val_probs.npz") for folder in (calm, model))
    np.testing.assert_array_equal(left.image_id, right.image_id)
    assert len(set(left.image_id)) == 48  # every validation image once
    np.testing.assert_allclose(right.logit, left.logit, atol=1e-5)
    rows = [list(csv.DictReader((folder / "history.csv").open())) for folder in (calm, model)]
    assert [row["epoch"] for row in rows[1]] == ["1", "2", "3"]
    for one, other in zip(*rows, strict=True):
        assert float(one["loss"]) == pytest.approx(float(other["loss"]), rel=1e-5)


def test_a_model_trained_on_two_devices_is_saved_like_any_other(two):
    import keras

    model = keras.models.load_model(Path(two["resumed"]["model"]) / "model.keras")
    norms = [one for one in model._flatten_layers() if isinstance(one, keras.layers.BatchNormalization)]
    assert norms
    assert not any(one.synchronized for one in norms)


def test_the_log_says_how_the_batch_is_split(two):
    assert "replicas: 2, batch of 6 as 3+3 images" in two["log"]


def test_one_device_needs_no_strategy_and_a_batch_smaller_than_the_devices_is_refused():
    assert make_strategy(Device("cpu", "cpu", 1, (0, 0), 0, 2), 1) is None
    with pytest.raises(ConfigError, match="batch_size: received 1 on 2 devices"):
        make_strategy(Device("gpu", "A100", 2, (8, 0), 1, 2), 1)
