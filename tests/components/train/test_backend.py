"""JAX in place of TensorFlow, in a process that cannot import TensorFlow; what it writes is read on TensorFlow."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from components.common.artifacts.folder import open_artifact
from components.common.artifacts.json_file import read_json
from components.common.artifacts.scores import load_scores
from components.train.augmentation import Augmentation
from components.train.class_balance import loss_weights
from components.train.feed import TrainFeed, plain_batches
from components.train.network import build_network
from components.train.records import load_split
from components.train.steps import make_optimizer, make_train_step

# a machine without the packages in {blocked}
WITHOUT = """
import os, runpy, sys
os.environ["KERAS_BACKEND"] = {backend!r}
class Without:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {blocked!r}:
            raise ModuleNotFoundError(name, name=name.partition(".")[0])
sys.meta_path.insert(0, Without())
"""
CLASSES = {"bkl": 0, "mel": 1, "nv": 0}


def python(code, *arguments):
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def start(tiny):
    """Weights of a network whose head is not zero."""
    keras.utils.set_random_seed(7)
    network = build_network(tiny(dropout=0.0), CLASSES)
    network.head.set_weights([np.random.default_rng(0).normal(size=w.shape) for w in network.head.get_weights()])
    return network.classifier.get_weights()


@pytest.fixture(scope="module")
def jax_run(records, start, tmp_path_factory):
    if importlib.util.find_spec("jax") is None:
        pytest.skip("jax is not in this environment")
    scratch = tmp_path_factory.mktemp("jax")
    np.savez(scratch / "start.npz", **{str(i): value for i, value in enumerate(start)})
    code = WITHOUT.format(backend="jax", blocked="tensorflow") + "runpy.run_path(sys.argv[1], run_name='on_jax')"
    script = str(Path(__file__).with_name("on_jax.py"))
    done = python(code, script, str(records), str(scratch))
    assert done.returncode == 0, done.stderr
    return scratch, json.loads(done.stdout), done.stderr


def test_losses_on_jax_are_those_on_tensorflow(jax_run, records, start, tiny):
    config = tiny(dropout=0.0)
    network = build_network(config, CLASSES)
    network.classifier.set_weights(start)
    data = load_split(records, "train", (32, 40), "memory")
    weights = loss_weights(config.class_balance, data.rows.label)
    step = make_train_step(config, network, make_optimizer(config, network, "float32"), compile_xla=False)
    expected = [float(step(batch)) for batch in TrainFeed(data, 16, 5, Augmentation(), weights).epoch(0)]
    assert len(expected) == 6
    assert expected[-1] != pytest.approx(expected[0], rel=1e-2)
    np.testing.assert_allclose(jax_run[1]["losses"], expected, rtol=2e-3)
    np.testing.assert_allclose(jax_run[1]["losses"][:2], expected[:2], rtol=2e-5)
    np.testing.assert_allclose(jax_run[1]["losses_sample_weight"], jax_run[1]["losses"], rtol=1e-6)


def test_float16_on_jax_has_a_loss_scale(jax_run):
    assert np.isfinite(jax_run[1]["losses_float16"]).all()
    assert jax_run[1]["loss_scale"] >= 1


def test_no_tensorflow_was_there(jax_run):
    assert jax_run[1]["tensorflow"] is False


def test_a_run_stopped_on_jax_goes_on_to_bitwise_the_same_result(jax_run, kit):
    scratch, result, errors = jax_run
    assert result["codes"] == [0, 75, 0, 0]
    assert "resuming after step 2 of epoch 2" in errors
    left, right = scratch / "undisturbed", scratch / "model"
    assert (left / "val_probs.npz").read_bytes() == (right / "val_probs.npz").read_bytes()
    assert kit.history(left) == kit.history(right)


@pytest.mark.parametrize("name", ["model", "frozen"])  # the second with frozen layers computed once
def test_a_model_trained_on_jax_gives_the_same_on_tensorflow(name, jax_run, records):
    folder = jax_run[0] / name
    open_artifact(folder, "model")
    environment = read_json(folder / "environment.json", "lesionflow.environment/1")
    assert environment["backend"] == "jax"
    assert "jaxlib" in environment["packages"]
    model = keras.models.load_model(folder / "model.keras", compile=False, safe_mode=True)
    val = load_split(records, "val", (32, 40), "memory")
    images = np.concatenate(list(plain_batches(val, 64))).astype(np.float32)
    logit = np.asarray(model(images, training=False))[:, 0]
    np.testing.assert_allclose(logit, load_scores(folder / "val_probs.npz").logit, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("setting", "blocked", "parts"),
    [
        ("torch", "", ["KERAS_BACKEND", "'torch'", "tensorflow, jax"]),
        ("jax", "jax", ["Keras is configured to run on jax", "KERAS_BACKEND=tensorflow"]),
        ("tensorflow", "tensorflow", ["Keras is configured to run on tensorflow", "KERAS_BACKEND=jax"]),
    ],
)
def test_a_backend_that_is_not_there_is_one_clear_line(setting, blocked, parts):
    code = WITHOUT.format(backend=setting, blocked=blocked)
    code += """
from components.common.runtime.errors import ConfigError
from components.train.backend import prepare_backend
try:
    prepare_backend(deterministic=False)
except ConfigError as error:
    print(error)
"""
    done = python(code)
    assert len(done.stdout.strip().splitlines()) == 1, done.stdout + done.stderr
    for part in parts:
        assert part in done.stdout
