"""The bundle's decision for runtimes without TensorFlow: ONNX (onnxruntime) and LiteRT, from prepared pixels.

Both take uint8 [n, height, width, 3], prepared as `preprocessing.json` says, since neither reads JPEG; network,
calibrator, threshold and abstain band are inside. Each file predicts the images of the parity check in its own runtime
before it is put in place.
"""

from __future__ import annotations

import importlib.util
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.common.artifacts.folder import sha256_file
from components.common.artifacts.json_file import write_json
from components.common.artifacts.policy import DecisionPolicy
from components.common.bundle import layout
from components.common.bundle.load import Bundle
from components.common.runtime.errors import ArtifactError, ConfigError
from components.export.config import ExportConfig
from components.export.parity import Compared

log = logging.getLogger(__name__)
Pixels = npt.NDArray[np.uint8]
Predict = Callable[[Pixels], Mapping[str, npt.NDArray[Any]]]

OUTPUTS = ("probability", "logit", "decision")
FILES = {"onnx": "model.onnx", "litert": "model.tflite"}
_NEEDED = {"onnx": ("onnx", "onnxruntime", "tf2onnx"), "litert": ("ai_edge_litert",)}
OPSET = 18
_TIMED = 60


def check_available(formats: Sequence[str]) -> None:
    """Refuses formats whose packages are not installed, before anything is done.

    Raises:
        ConfigError: names the format and its missing packages.
    """
    for name in formats:
        missing = [package for package in _NEEDED[name] if importlib.util.find_spec(package) is None]
        if missing:
            raise ConfigError(
                f"formats: received {name!r}, which needs {', '.join(missing)}; "
                "install the extra: pip install 'lesionflow[formats]'"
            )


def write_formats(bundle: Bundle, network: Any, config: ExportConfig, compared: Compared) -> None:
    """Writes the files asked for into a bundle in the making, checks each, and records it in `formats.json`.

    Args:
        bundle: the bundle.
        network: the Keras model.
        config: which formats, and how far they may differ.
        compared: the images of the parity check and the bundle's predictions for them.

    Raises:
        ArtifactError: a file's runtime and the bundle disagree.
    """
    folder = bundle.artifact.path
    expected = {"probability": compared.bundle_probability, "decision": compared.bundle_decision}
    entries = {}
    for name in config.formats:
        path = write_format(name, network, bundle.policy, config.augmentation, folder)
        entries[name] = check_format(name, path, compared.pixels, bundle.policy, expected, config.format_tolerance)
    write_json(folder / layout.FORMATS, {"schema": layout.FORMATS_SCHEMA, "formats": entries})


def write_format(name: str, network: Any, policy: DecisionPolicy, augmentation: str, folder: Path) -> Path:
    """Writes `model.onnx` or `model.tflite` into a bundle in the making."""
    import tensorflow as tf

    from components.export import rule
    from components.export.graph import mean_logit, with_constants

    served = with_constants(network, most_bytes=2**31)
    kind = tf.float64 if name == "onnx" else tf.float32  # LiteRT has no float64 kernels

    def decide(pixels: Any) -> dict[str, Any]:
        logit = mean_logit(served, pixels, augmentation)
        outputs = rule.decide(policy, logit, tf.zeros_like(logit, tf.int32), kind)
        return {key: outputs[key] for key in OUTPUTS}

    size = network.input_shape[1:3]
    function = tf.function(decide, [tf.TensorSpec([None, *size, 3], tf.uint8, "pixels")])
    path = folder / FILES[name]
    if name == "onnx":
        import tf2onnx

        tf2onnx.convert.from_function(
            function, [tf.TensorSpec([None, *size, 3], tf.uint8, "pixels")], opset=OPSET, output_path=str(path)
        )
    else:
        module = tf.Module()
        module.decide = function
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()], module)
        path.write_bytes(converter.convert())
    return path


def open_format(name: str, path: Path) -> Predict:
    """A file in its own runtime, on one CPU core: pixels uint8 [n, h, w, 3] to the arrays named in `OUTPUTS`."""
    return _open_onnx(path) if name == "onnx" else _open_litert(path)


def _open_onnx(path: Path) -> Predict:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    entry = session.get_inputs()[0].name
    names = [output.name for output in session.get_outputs()]
    return lambda pixels: dict(zip(names, session.run(names, {entry: pixels}), strict=True))


def _open_litert(path: Path) -> Predict:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=1)
    signature = interpreter.get_signature_runner()
    return lambda pixels: dict(signature(pixels=pixels))


def check_format(
    name: str,
    path: Path,
    pixels: Pixels,
    policy: DecisionPolicy,
    expected: Mapping[str, Any],
    tolerance: float,
) -> dict[str, Any]:
    """Predicts in the file's own runtime and compares with the bundle.

    Args:
        name: onnx or litert.
        path: the file.
        pixels: (n, h, w, 3) prepared images.
        policy: the decision policy.
        expected: the bundle's `probability` and `decision`, (n,) each.
        tolerance: largest difference in probability.

    Returns:
        The file's entry in `formats.json`: parity, size, and latency of one image in milliseconds.

    Raises:
        ArtifactError: a probability differs by more than `tolerance`, or a decision differs.
    """
    predict = open_format(name, path)
    parts = [predict(pixels[start : start + 25]) for start in range(0, len(pixels), 25)]
    probability, decision = (np.concatenate([part[key] for part in parts]) for key in ("probability", "decision"))
    difference = np.abs(probability.astype(np.float64) - expected["probability"])
    flips = int((decision != expected["decision"]).sum())
    worst = float(difference.max())
    if flips or not worst <= tolerance:
        raise ArtifactError(
            f"{path.name} and bundle disagree on {len(pixels)} images: largest difference in probability {worst:.3g} "
            f"(allowed {tolerance:g}), {flips} changed decisions (allowed 0)"
        )
    times = []
    for i in range(_TIMED):
        started = time.perf_counter()
        predict(pixels[i % len(pixels)][None])
        times.append((time.perf_counter() - started) * 1e3)
    p50, p95 = np.quantile(times, [0.5, 0.95])
    log.info("%s: max |dp| %.2g on %d images, p50 %.1f ms", path.name, worst, len(pixels), p50)
    return {
        "file": path.name,
        "sha256": sha256_file(path),
        "bytes": path.stat().st_size,
        "images": len(pixels),
        "max_probability_difference": worst,
        "changed_decisions": flips,
        "tolerance": tolerance,
        "latency_p50_ms": float(p50),
        "latency_p95_ms": float(p95),
        "input": "uint8 [n, height, width, 3]",
        "policy_id": policy.policy_id,
        "outputs": list(OUTPUTS),
        "unreadable": layout.UNREADABLE,
    }
