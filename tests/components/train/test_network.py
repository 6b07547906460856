import json
import zipfile

import keras
import numpy as np
import pytest
from scipy.special import logsumexp

from components.common.runtime.errors import DataError
from components.train.network import build_network, malignant_logit

CLASSES = {"akiec": 1, "bcc": 1, "bkl": 0, "df": 0, "mel": 1, "nv": 0, "vasc": 0}


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (3, 32, 40, 3)).astype(np.float32)


def spread_head(network):
    rng = np.random.default_rng(1)
    network.head.set_weights([rng.normal(size=w.shape) for w in network.head.get_weights()])


def test_malignant_logit_is_the_log_odds_of_the_summed_softmax():
    logits = np.random.default_rng(0).normal(0, 5, (50, 7)).astype(np.float32)
    out = np.asarray(malignant_logit(keras.ops.convert_to_tensor(logits), CLASSES))
    malignant = np.array(list(CLASSES.values())) == 1
    expected = logsumexp(logits[:, malignant], axis=1) - logsumexp(logits[:, ~malignant], axis=1)
    np.testing.assert_allclose(out[:, 0], expected, atol=1e-4)
    with pytest.raises(DataError, match="both"):
        malignant_logit(keras.ops.convert_to_tensor(logits[:, :2]), {"nv": 0, "bkl": 0})


@pytest.mark.parametrize("target", ["binary", "diagnosis"])
def test_saved_model_gives_the_same_logit_without_code_of_its_own(target, tiny, images, tmp_path):
    network = build_network(tiny(target=target), CLASSES)
    spread_head(network)
    path = tmp_path / "model.keras"
    network.scorer.save(path)
    loaded = keras.models.load_model(path, compile=False, safe_mode=True)
    expected = np.asarray(network.scorer(images, training=False))
    assert expected.shape == (3, 1)
    np.testing.assert_array_equal(np.asarray(loaded(images, training=False)), expected)
    with zipfile.ZipFile(path) as archive:
        config = archive.read("config.json").decode()
    assert "Lambda" not in config
    assert all(module in (None, "builtins") or module.startswith("keras") for module in modules(json.loads(config)))


def modules(value):
    if isinstance(value, dict):
        if "class_name" in value:
            yield value.get("module")
        for item in value.values():
            yield from modules(item)
    elif isinstance(value, list):
        for item in value:
            yield from modules(item)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_head_and_logit_are_float32_under_mixed_precision(policy, tiny, images):
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        network = build_network(tiny(target="diagnosis"), CLASSES)
    finally:
        keras.config.set_dtype_policy(previous)
    assert network.features.output.dtype == policy.removeprefix("mixed_")
    assert network.head.compute_dtype == "float32"
    assert np.asarray(network.scorer(images, training=False)).dtype == np.float32


def test_an_untrained_head_is_undecided(tiny, images):
    network = build_network(tiny(), CLASSES)
    np.testing.assert_array_equal(np.asarray(network.scorer(images, training=False)), 0)


def test_the_classifier_and_the_scorer_share_their_weights(tiny):
    network = build_network(tiny(target="diagnosis"), CLASSES)
    assert network.classifier.output_shape == (None, 7)
    assert {id(v) for v in network.scorer.weights} == {id(v) for v in network.classifier.weights}
