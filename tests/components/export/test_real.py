"""Parity and preparation on 500 real images, with a network whose features mean something."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest

from components.common.artifacts.folder import new_artifact, sha256_file
from components.common.artifacts.model import ENVIRONMENT, TRAINING_CONFIG, ModelFacts, write_record
from components.common.artifacts.policy import Calibrator, DecisionPolicy
from components.common.artifacts.scores import Scores, save_scores
from components.common.artifacts.split import SplitRecord, write_split
from components.common.bundle.parity_record import read_formats
from components.common.imaging import inspect, pixels
from components.common.statistics.numeric import sigmoid
from components.export.config import ExportConfig

SHARED = Path(os.environ.get("LESIONFLOW_SHARED", Path(__file__).parents[4] / "shared"))
DATA, WEIGHTS = SHARED / "ham10000", SHARED / "weights" / "mobilenet_v2_0.35_224_notop.weights.h5"
SIZE, SHORT, COUNT = (144, 192), 144, 500

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not (DATA.is_dir() and WEIGHTS.is_file()), reason=f"no reference data in {SHARED}"),
]


def real_images():
    """Every other malignant, so that both classes are there: id, path, label, in order of the ids."""
    paths = {path.stem: path for path in DATA.glob("HAM10000_images_part_*/*.jpg")}
    with (DATA / "HAM10000_metadata.csv").open(newline="") as handle:
        rows = [(r["image_id"], int(r["dx"] in ("mel", "bcc", "akiec"))) for r in csv.DictReader(handle)]
    chosen = [[name for name, label in rows if label == kind][: COUNT // 2] for kind in (0, 1)]
    return [(name, paths[name], kind) for kind in (0, 1) for name in chosen[kind]]


def fitted_network(pixels, label):
    """Frozen ImageNet features with a logistic head, as one Keras model."""
    import keras
    from sklearn.linear_model import LogisticRegression

    inputs = keras.Input((*SIZE, 3))
    scaled = keras.layers.Rescaling(1 / 127.5, -1.0)(inputs)
    backbone = keras.applications.MobileNetV2((*SIZE, 3), alpha=0.35, include_top=False, weights=None)
    backbone.load_weights(WEIGHTS)
    features = keras.layers.GlobalAveragePooling2D()(backbone(scaled, training=False))
    known = keras.Model(inputs, features).predict(pixels, batch_size=50, verbose=0)
    centre, spread = known.mean(axis=0), np.maximum(known.std(axis=0), 0.05)  # not the nearly dead ones
    fitted = LogisticRegression(C=0.01, max_iter=500).fit((known - centre) / spread, label)
    head = keras.layers.Dense(1)
    network = keras.Model(inputs, head(features))
    kernel = (fitted.coef_[0] / spread).astype(np.float32)
    head.set_weights([kernel[:, None], np.float32(fitted.intercept_ - centre @ kernel)])
    return network


@pytest.fixture(scope="module")
def parts(tmp_path_factory, kit):
    import pandas as pd

    root = tmp_path_factory.mktemp("real")
    images = real_images()
    ids, label = np.array([name for name, _, _ in images]), np.array([kind for _, _, kind in images], np.int8)
    # as records hold them: shrunk, rounded to bytes, compressed once more
    stored = [pixels.shrink(inspect.decode_rgb(path.read_bytes()), SHORT) for _, path, _ in images]
    seen = np.stack([inspect.decode_rgb(pixels.encode_jpeg(rgb, 95)) for rgb in stored]).astype(np.float32)
    network = fitted_network(seen, label)
    logit = network.predict(seen, batch_size=50, verbose=0)[:, 0].astype(np.float64)
    with new_artifact(root / "model", "model", {}) as folder:
        network.save(folder / "model.keras")
        ModelFacts(architecture="mobilenet_v2", image_size=SIZE, record_size=SHORT).save(folder)
        write_record(folder, TRAINING_CONFIG, {})
        write_record(folder, ENVIRONMENT, {})
        save_scores(folder / "val_probs.npz", Scores(ids, ids, ids, label, logit, sigmoid(logit)))
    threshold = float(np.quantile(logit[label == 1], 0.1))
    with new_artifact(root / "policy", "policy", {}) as folder:
        calibrator = Calibrator("platt", 0.0, {"a": 0.9, "b": -1.0})
        point = {"policy": "youden", "chance": None, "guarantee": "none"}
        point |= dict.fromkeys(("sensitivity", "lesion_sensitivity", "sensitivity_lower", "specificity"), 0.8)
        n, malignant = len(label), int(label.sum())
        DecisionPolicy(
            calibrator,
            threshold,
            float(calibrator.probability(np.array(threshold))),
            point,
            {"n": n, "malignant": malignant, "groups": n, "malignant_groups": malignant},
            malignant / n,
            sha256_file(root / "model" / "model.keras"),
            sha256_file(root / "model" / "val_probs.npz"),
        ).save(folder / "decision_policy.json")
    with new_artifact(root / "split", "split", {}) as folder:
        rows = pd.DataFrame(images, columns=["image_id", "uri", "label"]).astype({"uri": "str"})
        rows = kit.whole_index(rows.assign(lesion_id=rows["image_id"], group_id=rows["image_id"], verdict="ok"))
        write_split(folder, rows, pd.Series("val", rows.index), SplitRecord("test", 0, "a" * 64, {}))
    return root


def test_five_hundred_real_images_agree_and_preparation_stays_within_its_bounds(parts, record_property):
    from components.export.run import run

    config = ExportConfig(formats=["onnx", "litert"])
    done = run(config, parts / "model", parts / "policy", parts / "split", parts / "bundle")
    parity, preparation = done.parity.parity, done.parity.preparation
    record_property("parity", parity.model_dump())
    record_property("preparation", preparation.model_dump())
    assert parity.images == COUNT
    assert parity.max_probability_difference <= 1e-5
    assert parity.changed_decisions == 0
    assert preparation.mean_absolute_logit_shift < 0.5  # the head was fitted on these very pixels
    assert preparation.changed_decisions <= 0.05 * COUNT
    formats = read_formats(parts / "bundle")
    record_property("formats", {name: one.model_dump() for name, one in formats.items()})
    for name in ("onnx", "litert"):
        assert formats[name].images == COUNT
        assert formats[name].max_probability_difference <= 1e-4
        assert formats[name].changed_decisions == 0
