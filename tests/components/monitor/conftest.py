import csv
import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from components.common.artifacts.folder import new_artifact
from components.common.artifacts.policy import Calibrator, DecisionPolicy
from components.common.artifacts.scores import Scores, save_scores
from components.common.statistics.numeric import sigmoid

THRESHOLD = -1.6
POLICY = DecisionPolicy(
    Calibrator("platt", 0.0, {"a": 1.0, "b": 0.0}),
    THRESHOLD,
    float(sigmoid(np.array(THRESHOLD))),
    {
        "policy": "youden",
        "sensitivity": 0.93,
        "lesion_sensitivity": 0.93,
        "sensitivity_lower": 0.9,
        "specificity": 0.7,
        "chance": None,
        "guarantee": "none",
    },
    {"n": 400, "malignant": 100, "groups": 400, "malignant_groups": 100},
    0.25,
    "a" * 64,
    "b" * 64,
)


def drawn(rng, label):
    """Logits of lesions: malignant ones higher; about 0.94 of them above the threshold."""
    return np.where(label == 1, rng.normal(0.6, 1.4, len(label)), rng.normal(-2.6, 1.4, len(label)))


@pytest.fixture(scope="session")
def policy():
    return POLICY


@pytest.fixture
def bundle(tmp_path):
    """As much of a bundle as the monitor reads."""
    rng = np.random.default_rng(9)
    label = (np.arange(800) % 4 == 0).astype(np.int8)
    logit, ids = drawn(rng, label), np.arange(800).astype(np.str_)
    with new_artifact(tmp_path / "bundle", "bundle", {}) as folder:
        POLICY.save(folder / "decision_policy.json")
        save_scores(folder / "reference_probs.npz", Scores(ids, ids, ids, label, logit, sigmoid(logit)))
    return tmp_path / "bundle"


@pytest.fixture
def use(tmp_path):
    """Writes a log of two sources, and its labels, which come two weeks late."""

    def make(images=1200, change=10**9, lower=0.0, malignant=0.25, seed=0, name="log.jsonl"):
        rng = np.random.default_rng(seed)
        label = (rng.random(images) < malignant).astype(np.int8)
        source = np.where(np.arange(images) % 2 == 0, "A", "B")
        logit = drawn(rng, label) + np.where((source == "B") & (np.arange(images) >= change) & (label == 1), lower, 0.0)
        start = datetime(2026, 1, 5, tzinfo=UTC)
        rows, labels = [], []
        for i in range(images):
            time = start + timedelta(hours=2 * i)
            rows.append(
                {
                    "image": f"I{i}",
                    "probability": float(sigmoid(logit[i])),
                    "decision": int(logit[i] >= THRESHOLD),
                    "status": "ok",
                    "policy_id": POLICY.policy_id,
                    "time": time.isoformat(),
                    "source": str(source[i]),
                }
            )
            labels.append((f"I{i}", ("benign", "malignant")[label[i]], (time + timedelta(days=14)).isoformat()))
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
        end = rows[-1]["time"]
        with (tmp_path / f"{name}.labels.csv").open("w", newline="") as handle:
            csv.writer(handle).writerows([("image", "label", "time"), *(one for one in labels if one[2] <= end)])
        return tmp_path / name, tmp_path / f"{name}.labels.csv"

    return make
