"""Opens a `.keras` file from an untrusted source: inspected first, then loaded in Keras's safe mode."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from components.common.artifacts.json_file import parse_json, shown
from components.common.runtime.errors import ArtifactError

_MEMBERS = ("metadata.json", "config.json", "model.weights.h5")
_MOST_CONFIG = 16 * 2**20  # bytes; a text cut there is not JSON
# These run code of their own choosing when they are rebuilt or called, whatever package they come from.
_REFUSED = ("Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer")


def check_model_file(path: Path) -> None:
    """Refuses a `.keras` file that could run code of its own, without loading it.

    Allowed are built-in Keras classes: no Lambda, no class of another package, no unexpected member.

    Raises:
        ArtifactError: names the offending member or layer.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            extra = sorted(set(archive.namelist()) - set(_MEMBERS))
            with archive.open("config.json") as member:  # a small file may hold far more than it has bytes
                config = parse_json(member.read(_MOST_CONFIG), _MOST_CONFIG)
    except FileNotFoundError as error:
        raise ArtifactError(f"{path}: no such file; expected a .keras model") from error
    except (OSError, EOFError, RuntimeError, KeyError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise ArtifactError(f"{path}: not a .keras model ({shown(str(error))}); train it again") from error
    if extra:
        raise ArtifactError(f"{path}: holds {shown(extra[0])}, a .keras model has only {', '.join(_MEMBERS)}")
    for item in _objects(config):
        module, name = item.get("module"), item.get("class_name")
        builtin = module is None or module == "builtins" or str(module).split(".")[0] == "keras"
        if not builtin or name in _REFUSED or item.get("registered_name") not in (None, name):
            raise ArtifactError(
                f"{path}: holds {shown(name)} of {shown(module)}; only built-in Keras layers without code of their own "
                "are served"
            )


def load_network(path: Path, precision: str = "as_trained") -> Any:
    """Loads the network with Keras's safe mode on, after `check_model_file`.

    Args:
        path: the `.keras` file.
        precision: `float32` rebuilds a network that was trained in mixed precision so that it computes in
            float32 (its variables are float32 already); `as_trained` leaves it.

    Returns:
        A `keras.Model`: RGB 0..255 [N, H, W, 3] to malignant logit [N, 1].

    Raises:
        ArtifactError: the file is refused, or its input or output is not as above.
    """
    check_model_file(path)
    os.environ["KERAS_BACKEND"] = "tensorflow"  # a SavedModel is TensorFlow's, whatever the network was trained on
    import keras

    try:
        network = keras.models.load_model(path, compile=False, safe_mode=True)
    except (ValueError, TypeError, OSError, KeyError) as error:
        reason = str(error).strip().split("\n")[0]
        raise ArtifactError(f"{path}: Keras cannot load it ({reason})") from error
    if precision == "float32" and any(layer.compute_dtype != "float32" for layer in network._flatten_layers()):
        network = _in_float32(network)
    if len(network.inputs) != 1 or len(network.outputs) != 1:
        raise ArtifactError(
            f"{path}: has {len(network.inputs)} inputs and {len(network.outputs)} outputs, expected 1 of each"
        )
    if tuple(network.output_shape) != (None, 1):
        raise ArtifactError(f"{path}: output has shape {network.output_shape}, expected (None, 1): the malignant logit")
    return network


def _in_float32(network: Any) -> Any:
    twin = type(network).from_config(_float32_policies(network.get_config()))
    twin.set_weights(network.get_weights())
    return twin


def _float32_policies(value: Any) -> Any:
    if isinstance(value, dict):
        if value.get("class_name") in ("DTypePolicy", "Policy"):
            return "float32"
        return {
            key: "float32" if key == "dtype" and str(item) in ("float16", "bfloat16") else _float32_policies(item)
            for key, item in value.items()
        }
    return [_float32_policies(item) for item in value] if isinstance(value, list) else value


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if "class_name" in value:
            yield value
        for item in value.values():
            yield from _objects(item)
    elif isinstance(value, list):
        for item in value:
            yield from _objects(item)
