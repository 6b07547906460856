"""Opening `.keras` files: only built-in layers, only safe mode, float32 where asked for."""

import json
import zipfile

import keras
import numpy as np
import pytest

from components.common.runtime.errors import ArtifactError
from components.export.model_file import check_model_file, load_network


@keras.saving.register_keras_serializable("elsewhere")
class Doubled(keras.layers.Layer):
    def call(self, x):
        return 2 * x


def save(layer, path):
    inputs = keras.Input((4, 4, 3))
    x = keras.layers.GlobalAveragePooling2D()(layer(inputs))
    keras.Model(inputs, keras.layers.Dense(1)(x)).save(path)
    return path


def rewritten(source, target, config=None, **members):
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            new.writestr(name, config if config and name == "config.json" else old.read(name))
        for name, data in members.items():
            new.writestr(name.replace("_pkl", ".pkl"), data)
    return target


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return save(keras.layers.Rescaling(1 / 255.0), tmp_path_factory.mktemp("keras") / "plain.keras")


def test_lambda_layers_are_refused_before_loading(tmp_path):
    path = save(keras.layers.Lambda(lambda x: x + 1), tmp_path / "lambda.keras")
    with pytest.raises(ArtifactError, match=r"holds 'Lambda' of 'keras\.layers'; only built-in Keras layers"):
        check_model_file(path)


def test_custom_layers_are_refused_even_when_registered(tmp_path):
    with pytest.raises(ArtifactError, match="holds 'Doubled'"):
        load_network(save(Doubled(), tmp_path / "custom.keras"))


@pytest.mark.parametrize("config", ["[" * 100_000, '{"a": 1, "a": 2}', "no JSON", "[" + "0," * 9_000_000 + "0]"])
def test_a_configuration_that_cannot_be_read_is_one_line(plain, tmp_path, config):
    path = rewritten(plain, tmp_path / "damaged.keras", config=config)
    with pytest.raises(ArtifactError, match=r"damaged\.keras: not a \.keras model") as refused:
        check_model_file(path)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400


def test_a_class_of_another_module_is_refused(plain, tmp_path):
    with zipfile.ZipFile(plain) as archive:
        config = json.loads(archive.read("config.json"))
    config["config"]["layers"][1] |= {"module": "os", "class_name": "system"}
    path = rewritten(plain, tmp_path / "os.keras", config=json.dumps(config))
    with pytest.raises(ArtifactError, match="holds 'system' of 'os'"):
        check_model_file(path)


def test_unexpected_members_are_refused(plain, tmp_path):
    path = rewritten(plain, tmp_path / "extra.keras", payload_pkl=b"cos\nsystem\n")
    with pytest.raises(ArtifactError, match=r"holds 'payload\.pkl'"):
        check_model_file(path)


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04broken"])
def test_what_is_no_model_is_refused(content, tmp_path):
    (tmp_path / "m.keras").write_bytes(content)
    with pytest.raises(ArtifactError, match=r"not a \.keras model"):
        check_model_file(tmp_path / "m.keras")


def test_wrong_output_is_refused(tmp_path):
    inputs = keras.Input((4, 4, 3))
    keras.Model(inputs, keras.layers.Dense(7)(keras.layers.Flatten()(inputs))).save(tmp_path / "m.keras")
    with pytest.raises(ArtifactError, match=r"output has shape \(None, 7\), expected \(None, 1\)"):
        load_network(tmp_path / "m.keras")


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_is_undone_in_every_layer(policy, kit, tmp_path):
    trained = kit.build_network(policy)
    trained.save(tmp_path / "m.keras")
    served = load_network(tmp_path / "m.keras", "float32")
    assert {layer.compute_dtype for layer in served._flatten_layers()} == {"float32"}
    reference = kit.build_network("float32")
    reference.set_weights(trained.get_weights())
    image = np.random.default_rng(0).uniform(0, 255, (2, *kit.size, 3)).astype(np.float32)
    np.testing.assert_allclose(served(image), reference(image), rtol=1e-5)
    assert any(layer.compute_dtype != "float32" for layer in load_network(tmp_path / "m.keras")._flatten_layers())
