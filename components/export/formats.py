"""The bundle's decision for runtimes without TensorFlow: ONNX (onnxruntime) and LiteRT, from prepared pixels.

Both take uint8 [n, height, width, 3], prepared as `preprocessing.json` says, since neither reads JPEG; network,
calibrator, threshold, abstain band and the refusal of what is not dermoscopy are inside. Their status is a number, the
position in `statuses` of `labels.json`: not every runtime has text. Each file predicts the images of the parity check
in its own runtime before it is put in place.
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
from components.common.artifacts.policy import DecisionPolicy
from components.common.bundle import layout
from components.common.bundle.load import Bundle
from components.common.bundle.parity_record import FormatFile, Formats
from components.common.runtime.errors import ArtifactError, ConfigError
from components.export.config import ExportConfig
from components.export.familiar import Familiar
from components.export.parity import Compared, refusal_differences

log = logging.getLogger(__name__)
Pixels = npt.NDArray[np.uint8]
Predict = Callable[[Pixels], Mapping[str, npt.NDArray[Any]]]

OUTPUTS = ("probability", "logit", "decision", "status", "distance")
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


def write_formats(
    bundle: Bundle, network: Any, config: ExportConfig, compared: Compared, familiar: Familiar | None = None
) -> None:
    """Writes the files asked for into a bundle in the making, checks each, and records it in `formats.json`.

    Args:
        bundle: the bundle.
        network: the Keras model, with pooled features where there is `familiar`.
        config: which formats, and how far they may differ.
        compared: the images of the parity check and the bundle's predictions for them.
        familiar: what is like the training images.

    Raises:
        ArtifactError: a file's runtime and the bundle disagree.
    """
    folder = bundle.artifact.path
    expected = {
        "probability": compared.bundle_probability,
        "decision": compared.bundle_decision,
        "distance": compared.bundle_distance,
        "status": np.array([layout.STATUSES.index(one) for one in compared.bundle_status]),
    }
    limit = familiar.limit if familiar is not None else None
    entries = {}
    for name in config.formats:
        path = write_format(name, network, bundle.policy, config.augmentation, folder, familiar)
        entries[name] = check_format(
            name, path, compared.pixels, bundle.policy, expected, config.format_tolerance, limit
        )
    Formats(formats=entries).save(folder)


def write_format(
    name: str,
    network: Any,
    policy: DecisionPolicy,
    augmentation: str,
    folder: Path,
    familiar: Familiar | None = None,
) -> Path:
    """Writes `model.onnx` or `model.tflite` into a bundle in the making."""
    import tensorflow as tf

    from components.export import rule
    from components.export.graph import scored, with_constants

    served = with_constants(network, most_bytes=2**31)
    limit = familiar.limit if familiar is not None else None
    kind = tf.float64 if name == "onnx" else tf.float32  # LiteRT has no float64 kernels

    def decide(pixels: Any) -> dict[str, Any]:
        logit, distance = scored(served, pixels, augmentation, familiar)
        return rule.decide_codes(policy, logit, tf.zeros_like(logit, tf.int32), kind, distance, limit)

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


def predict_all(predict: Predict, pixels: Pixels) -> dict[str, npt.NDArray[Any]]:
    """A file's predictions for (n, h, w, 3) prepared images; one that refuses nothing may have fewer outputs."""
    parts = [predict(pixels[start : start + 25]) for start in range(0, len(pixels), 25)]
    found = {key: np.concatenate([part[key] for part in parts]) for key in OUTPUTS if key in parts[0]}
    referred = found["decision"] == layout.REFER
    found.setdefault("status", np.where(referred, layout.REFERRED, layout.OK).astype(np.int32))
    found.setdefault("distance", np.full(len(pixels), layout.NO_DISTANCE, np.float32))
    return found


def _refuse_differences(
    name: str, images: int, refusals: Mapping[str, Any], worst: float, tolerance: float, flips: int
) -> None:
    if refusals["changed_refusals"]:
        raise ArtifactError(
            f"{name} and bundle disagree on what is a dermoscopic image: {refusals['changed_refusals']} of {images} "
            f"images are refused on one side only, distances differ by up to {refusals['max_distance_difference']:.3g}"
        )
    if flips or not worst <= tolerance:
        raise ArtifactError(
            f"{name} and bundle disagree on {images} images: largest difference in probability {worst:.3g} "
            f"(allowed {tolerance:g}), {flips} changed decisions (allowed 0)"
        )


def check_format(
    name: str,
    path: Path,
    pixels: Pixels,
    policy: DecisionPolicy,
    expected: Mapping[str, Any],
    tolerance: float,
    limit: float | None = None,
) -> FormatFile:
    """Predicts in the file's own runtime and compares with the bundle.

    Args:
        name: onnx or litert.
        path: the file.
        pixels: (n, h, w, 3) prepared images.
        policy: the decision policy.
        expected: the bundle's `probability`, `decision`, `distance` and `status` as a code, (n,) each.
        tolerance: largest difference in probability.
        limit: distance beyond which images are refused.

    Returns:
        The file's entry in `formats.json`: parity, size, and latency of one image in milliseconds.

    Raises:
        ArtifactError: a probability differs by more than `tolerance`, a decision differs, or an image is refused on
            one side only.
    """
    predict = open_format(name, path)
    found = predict_all(predict, pixels)
    before, refused = (codes == layout.NOT_DERMOSCOPY for codes in (expected["status"], found["status"]))
    refusals = refusal_differences(expected["distance"], found["distance"], (before, refused), limit)
    same = refused == before  # elsewhere one side has no probability
    difference = np.abs(found["probability"].astype(np.float64) - expected["probability"])[same]
    flips = int((found["decision"] != expected["decision"])[same].sum())
    worst = float(difference.max(initial=0.0))
    _refuse_differences(path.name, len(pixels), refusals, worst, tolerance, flips)
    p50, p95 = _latency_ms(predict, pixels)
    log.info("%s: max |dp| %.2g on %d images, p50 %.1f ms", path.name, worst, len(pixels), p50)
    return FormatFile(
        file=path.name,
        sha256=sha256_file(path),
        bytes=path.stat().st_size,
        images=len(pixels),
        max_probability_difference=worst,
        changed_decisions=flips,
        tolerance=tolerance,
        latency_p50_ms=p50,
        latency_p95_ms=p95,
        input="uint8 [n, height, width, 3]",
        policy_id=policy.policy_id,
        outputs=list(OUTPUTS),
        unreadable=layout.UNREADABLE,
        **refusals,
    )


def _latency_ms(predict: Predict, pixels: Pixels) -> tuple[float, float]:
    """Median and 95th percentile of the milliseconds that one image takes."""
    times = []
    for i in range(_TIMED):
        started = time.perf_counter()
        predict(pixels[i % len(pixels)][None])
        times.append((time.perf_counter() - started) * 1e3)
    p50, p95 = np.quantile(times, [0.5, 0.95])
    return float(p50), float(p95)
