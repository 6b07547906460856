import json

import numpy as np
import pytest

from components.common.artifacts.class_weight import write_class_weight
from components.common.artifacts.folder import new_artifact
from components.common.artifacts.model import ENVIRONMENT, TRAINING_CONFIG, ModelFacts, write_record
from components.common.artifacts.scores import Scores, save_scores
from components.common.statistics.numeric import sigmoid


def simulate(lesions, seed, *, weight=1.0, prevalence=0.2, slope=1.0, spread=0.7):
    """Scores of clustered lesions whose true logit is known; `weight` shifts them as class weights do."""
    rng = np.random.default_rng(seed)
    malignant = rng.random(lesions) < prevalence
    images = rng.integers(1, 4, lesions)
    lesion = np.repeat(np.arange(lesions), images)
    centre = np.where(malignant, 1.6, -1.6) + rng.normal(0, 1.2, lesions)
    raw = centre[lesion] + rng.normal(0, spread, len(lesion))
    label = malignant[lesion].astype(np.int8)
    logit = (slope * raw + np.log(weight)).astype(np.float32).astype(np.float64)
    names = np.array([f"L{k:05d}" for k in lesion])
    ids = np.array([f"I{k:06d}" for k in range(len(lesion))])
    return Scores(ids, names, names, label, logit, sigmoid(logit))


def calibrated_scores(n, seed, *, weight=1.0, stretch=1.0):
    """Single-image lesions with P(malignant) = sigmoid(u) exactly, shown as stretch * u + ln(weight)."""
    rng = np.random.default_rng(seed)
    u = rng.normal(-2.2, 2.0, n)
    label = (rng.random(n) < sigmoid(u)).astype(np.int8)
    logit = stretch * u + np.log(weight)
    ids = np.array([f"I{k:06d}" for k in range(n)])
    return Scores(ids, ids, ids, label, logit, sigmoid(logit))


@pytest.fixture
def model_of(tmp_path):
    """Makes a model artifact on disk around scores; the weights file is opaque to calibrate."""

    def make(scores, offset=0.0, name="model"):
        path = tmp_path / name
        with new_artifact(path, "model", {"records": "0" * 64}) as folder:
            save_scores(folder / "val_probs.npz", scores)
            (folder / "model.keras").write_bytes(b"keras archive of " + json.dumps(name).encode())
            ModelFacts(architecture="opaque", image_size=(32, 32)).save(folder)
            write_record(folder, TRAINING_CONFIG, {})
            write_record(folder, ENVIRONMENT, {})
            write_class_weight(folder, {"0": 1.0, "1": float(np.exp(offset))}, offset)
        return path

    return make


@pytest.fixture
def sim():
    return simulate


@pytest.fixture
def exact():
    return calibrated_scores
