"""Graphs, weights and preprocessing of the backbones, at sizes that cost little."""

import keras
import numpy as np
import pytest
from keras.src.utils import file_utils

from components.common.runtime.errors import ArtifactError, ConfigError
from components.train.backbones import build_backbone, freeze_before, freeze_depthwise
from components.train.efficientnet_lite import STAGES, efficientnet_lite
from components.train.preprocessing import preprocess
from components.train.registry import BACKBONES
from components.train.weight_sources import SOURCES, KerasFile

SIZE = (32, 32)


def prepared(architecture, value):
    """What a backbone sees of a constant RGB image, as (3,) numbers."""
    image = np.tile(np.array(value, np.float32), (1, 4, 4, 1))
    out = np.asarray(preprocess(keras.ops.convert_to_tensor(image), BACKBONES[architecture].contract))
    assert np.ptp(out, axis=(1, 2)).max() == 0
    return out[0, 0, 0]


@pytest.mark.parametrize(
    ("architecture", "module"),
    [
        ("resnet50", "resnet50"),
        ("mobilenet_v2", "mobilenet_v2"),
        ("efficientnet_b0", "efficientnet"),
        ("efficientnetv2_b0", "efficientnet_v2"),
        ("convnext_tiny", "convnext"),
        ("mobilenet_v3_small", "mobilenet_v3"),
    ],
)
def test_a_constant_image_is_prepared_as_keras_prepares_it(architecture, module):
    image = np.tile(np.array([10.0, 100.0, 250.0], np.float32), (1, 4, 4, 1))
    expected = getattr(keras.applications, module).preprocess_input(image.copy())[0, 0, 0]
    np.testing.assert_allclose(prepared(architecture, [10, 100, 250]), expected, atol=1e-5)


def test_lite0_takes_x_minus_127_over_128():
    np.testing.assert_allclose(prepared("efficientnet_lite0", [127, 255, -1]), [0, 1, -1], atol=1e-6)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("efficientnet_lite0", 3_413_024), ("efficientnet_lite1", 4_189_344), ("efficientnet_lite2", 4_869_168)],
)
def test_lite_has_its_known_size(name, parameters):
    model = efficientnet_lite(name, SIZE)
    assert model.output_shape == (None, 1, 1, 1280)
    assert model.count_params() == parameters


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "mean", "deviation"),
    [
        ("efficientnet_lite0", 0.02305, 0.18284),
        ("efficientnet_lite1", 0.00399, 0.06077),
        ("efficientnet_lite2", 0.08524, 0.43080),
    ],
)
def test_lite_golden_activation(name, mean, deviation, weights_folder, kit, tmp_path):
    """A forward pass in NumPy alone, which shares no code with this one, gave the same figures."""
    side = BACKBONES[name].size
    given = weights_folder / f"{name}_notop.npz"
    path = given if given.is_file() else kit.weights_of_package(name, tmp_path)
    model = build_backbone(name, (side, side), str(path))
    image = np.full((1, side, side, 3), 100, np.float32)
    out = np.asarray(model(preprocess(keras.ops.convert_to_tensor(image), "lite"), training=False))
    assert out.mean() == pytest.approx(mean, abs=5e-6)
    assert out.std() == pytest.approx(deviation, abs=5e-6)


@pytest.mark.real
def test_mobilenet_v2_from_a_file_gives_what_keras_gives(weights_folder):
    path = str(weights_folder / "mobilenet_v2_0.35_224_notop.weights.h5")
    ours = build_backbone("mobilenet_v2_035", (96, 96), path)
    theirs = keras.applications.MobileNetV2(alpha=0.35, include_top=False, weights=path, input_shape=(96, 96, 3))
    image = np.full((1, 96, 96, 3), 100 / 127.5 - 1, np.float32)
    np.testing.assert_array_equal(np.asarray(ours(image, training=False)), np.asarray(theirs(image, training=False)))


def test_an_input_contract_without_preprocessing_is_refused():
    with pytest.raises(ValueError, match="contract 'other' has no preprocessing"):
        preprocess(np.zeros((1, 4, 4, 3), np.float32), "other")


def arrays_of(model):
    return {f"{layer.name}/{w.name}": np.asarray(w) for layer in model.layers for w in layer.weights}


@pytest.mark.parametrize("name", STAGES)
def test_lite_weights_are_read_by_name_and_refused_when_they_do_not_fit(name, tmp_path):
    source = efficientnet_lite(name, SIZE)
    arrays = arrays_of(source)
    path = tmp_path / "lite.npz"
    np.savez(path, **arrays)
    image = np.random.default_rng(0).normal(size=(1, *SIZE, 3)).astype(np.float32)
    expected = np.asarray(source(image, training=False))
    read = build_backbone(name, SIZE, str(path))
    np.testing.assert_array_equal(np.asarray(read(image, training=False)), expected)
    cases = {
        "missing": {k: v for k, v in arrays.items() if k != "block3.bn1/gamma"},
        "belongs to no layer": {**arrays, "block99/kernel": np.zeros(3)},
        "do not fit": {**arrays, "conv_stem/kernel": np.zeros((3, 3, 3, 8))},
    }
    for message, content in cases.items():
        np.savez(path, **content)
        with pytest.raises(ArtifactError, match=message):
            build_backbone(name, SIZE, str(path))
    path.write_text("patient name, date of birth")
    with pytest.raises(ArtifactError, match=f"not weights of {name} without its top layers: not readable") as caught:
        build_backbone(name, SIZE, str(path))
    assert "patient" not in str(caught.value)


def test_an_unfit_weights_file_is_named_with_what_does_not_fit(tmp_path):
    other, wider, half = (tmp_path / f"{name}.weights.h5" for name in ("other", "wider", "half"))
    build_backbone("small_cnn", SIZE, "none").save_weights(other)
    build_backbone("mobilenet_v2_050", SIZE, "none").save_weights(wider)
    whole = build_backbone("small_cnn", SIZE, "none")
    keras.Model(whole.input, whole.get_layer("conv2").output).save_weights(half)
    (tmp_path / "text.h5").write_text("no weights at all")
    cases = [
        ("mobilenet_v2_035", other, ["102 objects could not be loaded", "'expanded_conv_depthwise'"]),
        ("mobilenet_v2_035", wider, ["(1, 1, 48, 8)", "(1, 1, 48, 16)", "block_1_project"]),
        ("small_cnn", half, ["bn2"]),
        ("small_cnn", tmp_path / "text.h5", ["file signature not found"]),
    ]
    for architecture, path, parts in cases:
        with pytest.raises(ArtifactError) as caught:
            build_backbone(architecture, SIZE, str(path))
        message = str(caught.value)
        for part in (path.name, f"not weights of {architecture} without its top layers", *parts):
            assert part in message
        assert len(message) < 500
        assert "\n" not in message


def test_an_absent_weights_file_is_refused(tmp_path):
    with pytest.raises(
        ConfigError, match=r"weights: received '.*gone\.h5', and there is no such file; allowed: none \(train"
    ):
        build_backbone("small_cnn", SIZE, str(tmp_path / "gone.h5"))


def test_a_download_that_fails_says_what_to_give_instead(tmp_path, monkeypatch):
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(tmp_path))
    monkeypatch.setattr("keras.src.applications.mobilenet_v2.BASE_WEIGHT_PATH", "http://127.0.0.1:9/")
    with pytest.raises(
        ArtifactError, match=r"imagenet could not be downloaded \(URL fetch failure on http://127.*file"
    ):
        build_backbone("mobilenet_v2_035", SIZE, "imagenet")


def test_weights_come_from_object_storage(gcs, tmp_path):
    source = build_backbone("small_cnn", SIZE, "none")
    source.save_weights(tmp_path / "own.weights.h5")
    gcs.put("own.weights.h5", (tmp_path / "own.weights.h5").read_bytes())
    read = build_backbone("small_cnn", SIZE, gcs.uri("own.weights.h5"))
    for left, right in zip(source.get_weights(), read.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)
    with pytest.raises(ConfigError, match=r"weights: received 'gs://.*gone\.h5'"):
        build_backbone("small_cnn", SIZE, gcs.uri("gone.h5"))


def test_freezing_stops_before_the_named_layer():
    model = build_backbone("small_cnn", SIZE, "none")
    frozen = freeze_before(model, "conv2")
    assert frozen == [layer.name for layer in model.layers].index("conv2")
    assert not model.get_layer("bn1").trainable
    assert model.get_layer("conv2").trainable
    freeze_before(model, "head")
    assert model.trainable_variables == []
    with pytest.raises(ConfigError, match=r"freeze_until: received 'conv9'; allowed: head, or a layer"):
        freeze_before(model, "conv9")


def test_depthwise_filters_alone_are_frozen():
    model = build_backbone("efficientnet_lite0", SIZE, "none")
    before = len(model.trainable_variables)
    assert freeze_depthwise(model) == 16
    assert len(model.trainable_variables) == before - 16
    with pytest.raises(ConfigError, match="freeze_depthwise: received true with small_cnn, which has no depthwise"):
        freeze_depthwise(build_backbone("small_cnn", SIZE, "none"))


@pytest.mark.parametrize("name", [name for name, source in SOURCES.items() if isinstance(source, KerasFile)])
def test_the_file_that_keras_downloads_is_the_one_we_name(name, monkeypatch):
    """What Keras would fetch is caught before it goes to the network."""

    class _Asked(Exception):
        pass

    def asked(fname=None, origin=None, *, file_hash=None, **_):
        raise _Asked(origin, file_hash or "")

    monkeypatch.setattr(file_utils, "get_file", asked)
    with pytest.raises(_Asked) as caught:
        build_backbone(name, (64, 64), "imagenet")
    assert caught.value.args == (SOURCES[name].url, SOURCES[name].digest)
