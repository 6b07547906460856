"""Each backbone of keras.applications against Keras's own ImageNet model and preprocessing, and against figures.

No ImageNet file can be downloaded in a test, so one is made as Keras's are, an HDF5 file in the old format
with numbers from a hash, and given to Keras in place of the download.
"""

import hashlib
import math

import h5py
import keras
import numpy as np
import pytest
from keras.src.applications.efficientnet import IMAGENET_STDDEV_RGB
from keras.src.legacy.saving import legacy_h5_format
from keras.src.utils import file_utils

from components.train.backbones import build_backbone
from components.train.preprocessing import preprocess
from components.train.registry import BACKBONES

SIZE = (64, 96)

# architecture: its module in keras.applications; mean and standard deviation of what Keras's own model makes of Keras's
# own preprocessing (TensorFlow 2.21, Keras 3.15)
GOLDEN = {
    "resnet50": ("resnet", 1.09389, 1.21804),
    "efficientnet_b0": ("efficientnet", 0.148146, 0.455391),
    "efficientnet_b1": ("efficientnet", 0.161711, 0.480155),
    "efficientnet_b2": ("efficientnet", 0.143194, 0.452735),
    "efficientnet_b3": ("efficientnet", 0.154164, 0.463446),
    "efficientnetv2_b0": ("efficientnet_v2", 0.225218, 0.593994),
    "efficientnetv2_s": ("efficientnet_v2", 0.197492, 0.544756),
    "convnext_tiny": ("convnext", 0.00291419, 1.01136),
    "mobilenet_v2": ("mobilenet_v2", 0.416911, 0.599007),
    "mobilenet_v2_035": ("mobilenet_v2", 0.388761, 0.565971),
    "mobilenet_v3_small": ("mobilenet_v3", 0.160864, 0.547095),
}


def picture():
    """RGB 0..255, every channel and every side different."""
    y, x = np.mgrid[0 : SIZE[0], 0 : SIZE[1]]
    channels = [(3 * y + x) % 256, (y * x) % 199, 255 * (x > y)]
    return np.stack(channels, axis=-1).astype(np.float32)[None]


def from_hash(path, shape):
    """Numbers that depend on the variable's path alone."""
    seed = int.from_bytes(hashlib.sha256(path.encode()).digest()[:8], "big")
    noise = np.random.Generator(np.random.Philox(seed)).standard_normal(shape)
    kind = path.rsplit("/", 1)[-1]
    if kind.endswith("kernel"):
        fan_in = math.prod(shape[:-2] if "depthwise" in path else shape[:-1])
        return noise * math.sqrt(2 / fan_in)
    if kind == "variance":
        return 0.05 * np.exp(0.2 * noise)
    return 0.1 * noise + {"gamma": 1.0, "mean": 0.45}.get(kind, 0.0)


def fill(model):
    """Fills `model` from hashes."""
    for variable in model.variables:
        if not variable.path.endswith(("count", "moving_mean", "moving_variance")) and variable.dtype == "float32":
            variable.assign(from_hash(variable.path, tuple(variable.shape)))
    for layer in model.layers:
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()  # it calculates with a copy of its variables


def settle(model, images):
    """Batch norms take the statistics of `images`: with others a deep network adds up differences by the thousand."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0
    model(images, training=True)


def as_imagenet_sees(source, images):
    """Images for which a graph without the stretch (see `backbones`) sees what that for imagenet sees of `images`."""
    (mean,) = (np.asarray(layer.mean) for layer in source.layers if isinstance(layer, keras.layers.Normalization))
    return (255 * (mean + (images / 255 - mean) / np.sqrt(IMAGENET_STDDEV_RGB))).astype(np.float32)


@pytest.mark.filterwarnings("ignore:`input_shape` is undefined or non-square")
@pytest.mark.parametrize("architecture", GOLDEN)
def test_a_backbone_from_a_file_is_the_one_imagenet_builds(architecture, tmp_path, monkeypatch):
    # Keras counts layers and variables without a name of their own on from those of earlier tests
    keras.utils.clear_session()
    line, (module, mean, deviation) = BACKBONES[architecture], GOLDEN[architecture]
    factory = getattr(keras.applications, line.factory)
    their_preprocessing = getattr(keras.applications, module).preprocess_input
    arguments = {"include_top": False, "input_shape": (*SIZE, 3), **line.options}
    path = tmp_path / "weights.h5"
    monkeypatch.setattr(file_utils, "get_file", lambda *_, **__: str(path))
    source = factory(weights=None, **arguments)
    image = picture()
    images = np.concatenate([image, image[..., ::-1], 255 - image, image[:, ::-1]])
    fill(source)
    seen = as_imagenet_sees(source, images) if module == "efficientnet" else images
    settle(source, their_preprocessing(seen.copy()))
    with h5py.File(path, "w") as handle:
        legacy_h5_format.save_weights_to_hdf5_group(handle, source)
    theirs = factory(weights="imagenet", **arguments)
    ours = build_backbone(architecture, SIZE, str(path))
    expected = np.asarray(theirs(their_preprocessing(images[:2].copy()), training=False))
    got = np.asarray(ours(preprocess(keras.ops.convert_to_tensor(images[:2]), line.contract), training=False))
    assert [type(layer) for layer in ours.layers] == [type(layer) for layer in theirs.layers]
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    assert np.abs(got[0] - got[1]).max() > 0.1 * np.abs(got).max()  # the order of the channels is seen
    assert got.std() == pytest.approx(deviation, rel=1e-3)
    assert got.mean() == pytest.approx(mean, abs=1e-3 * deviation)
