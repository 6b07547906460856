import json

import numpy as np
import pandas as pd
import pytest

from components.common.artifacts.folder import new_artifact, sha256_file
from components.common.artifacts.json_file import write_json
from components.common.artifacts.model import ENVIRONMENT, TRAINING_CONFIG, ModelFacts, write_record
from components.common.artifacts.policy import Calibrator, DecisionPolicy
from components.common.artifacts.scores import Scores, save_scores
from components.common.artifacts.split import KIND, SplitRecord, write_split
from components.common.bundle.card import FACTS_SCHEMA, write_card
from components.common.statistics.numeric import sigmoid

SITES = ("back", "face", "trunk")


def columns_of(scores, seed=0):
    rng = np.random.default_rng(seed)
    n = len(scores)
    dx = np.where(scores.label == 1, rng.choice(["mel", "bcc"], n), rng.choice(["nv", "bkl"], n))
    return {
        "dx": dx.astype(np.str_),
        "sex": rng.choice(["male", "female"], n).astype(np.str_),
        "localization": rng.choice(SITES, n).astype(np.str_),
        "dx_type": np.where(scores.label == 1, "histo", rng.choice(["histo", "follow_up"], n)).astype(np.str_),
        "dataset": rng.choice(["vidir_modern", "rosendahl"], n).astype(np.str_),
        "age": np.where(rng.random(n) < 0.1, np.nan, rng.integers(1, 18, n) * 5.0),
        "control_metadata": np.round(rng.normal(size=n), 6),
        "control_dx_type": np.round(scores.label + rng.normal(size=n), 6),
        "control_source": np.round(rng.normal(size=n), 6),
    }


def policy_for(val_path, model_sha256="0" * 64, threshold=-0.5, abstain=None):
    return DecisionPolicy(
        calibrator=Calibrator("none"),
        threshold_logit=threshold,
        threshold_probability=float(sigmoid(np.array(threshold))),
        operating_point={
            "policy": "lower_bound",
            "target_sensitivity": 0.9,
            "delta": 0.05,
            "sensitivity": 0.97,
            "lesion_sensitivity": 0.96,
            "sensitivity_lower": 0.91,
            "specificity": 0.6,
            "chance": 0.98,
            "guarantee": "simulated",
        },
        counts={"n": 5, "malignant": 1, "groups": 5, "malignant_groups": 1},
        prevalence=0.2,
        model_sha256=model_sha256,
        val_probs_sha256=sha256_file(val_path),
        abstain=abstain,
    )


@pytest.fixture
def policy_with():
    return policy_for


@pytest.fixture
def saved(tmp_path, sim):
    """Scores and policy as files: what `report` starts from."""
    test, val = sim(400, 1, prefix="T"), sim(300, 2, prefix="V")
    folder = tmp_path / "saved"
    folder.mkdir()
    save_scores(folder / "test_probs.npz", test, columns_of(test))
    save_scores(folder / "val_probs.npz", val)
    policy_for(folder / "val_probs.npz").save(folder / "decision_policy.json")
    return folder


class Pictures:
    """A test set on disk whose images' mean brightness carries the score."""

    def __init__(self, root, whole_index, lesions=36, seed=3):
        import cv2

        rng = np.random.default_rng(seed)
        rows = []
        for split, count in (("train", lesions), ("val", lesions), ("test", lesions)):
            for k in range(count):
                malignant = k % 3 == 0
                for j in range(1 + k % 2):
                    brightness = np.clip(128 + (25 if malignant else -25) + rng.normal(0, 22), 5, 250)
                    noise = rng.normal(0, 8, (30, 40, 3))
                    image_id = f"{split}{k:03d}{j}"
                    path = root / f"{image_id}.jpg"
                    cv2.imwrite(str(path), np.clip(brightness + noise, 0, 255).astype(np.uint8))
                    rows.append(
                        {
                            "image_id": image_id, "lesion_id": f"{split}L{k}", "group_id": f"{split}G{k}",
                            "dx": "mel" if malignant else "nv", "label": int(malignant), "uri": str(path),
                            "verdict": "ok", "reason": "", "age": float(20 + 5 * (k % 13)), "split": split,
                            "sex": ("male", "female")[k % 2], "localization": SITES[k % 3], "dx_type": "histo",
                            "dataset": "generated",
                        }
                    )  # fmt: skip
        self.table = pd.DataFrame(rows)
        self.root = root
        self.whole_index = whole_index

    def write_split(self, out, table=None):
        table = self.table if table is None else table
        with new_artifact(out, KIND, {"index": "0" * 64}) as folder:
            table = table.reset_index(drop=True)
            record = SplitRecord("test", 0, "a" * 64, {})
            write_split(folder, self.whole_index(table.drop(columns="split")), table["split"], record)
        return out


def logits_of(paths):
    import cv2

    means = [cv2.cvtColor(cv2.imread(str(p)), cv2.COLOR_BGR2RGB).astype(np.float32).mean() for p in paths]
    return (np.array(means, np.float32) - np.float32(128)) / np.float32(20)


def write_saved_model(folder, policy):
    """A serving graph with the contract's signature: brightness is the logit."""
    import tensorflow as tf

    def one(data):
        pixels = tf.cast(tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE"), tf.float32)
        return (tf.reduce_mean(pixels) - 128.0) / 20.0

    class Server(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
        def serve(self, image_bytes):
            return self.decide(tf.map_fn(one, image_bytes, fn_output_signature=tf.float32))

        @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, name="pixels")])
        def pixels(self, pixels):
            return self.decide((tf.reduce_mean(tf.cast(pixels, tf.float32), axis=[1, 2, 3]) - 128.0) / 20.0)

        def decide(self, logit):
            return {
                "logit": logit,
                "probability": tf.sigmoid(logit),
                "decision": tf.cast(logit >= policy.threshold_logit, tf.int32),
                "policy_id": tf.fill(tf.shape(logit), policy.policy_id),
                "status": tf.fill(tf.shape(logit), "ok"),
            }

    server = Server()
    tf.saved_model.save(
        server, str(folder), signatures={"serving_default": server.serve, "predict_pixels": server.pixels}
    )


def card_facts(preprocessing, folder):
    """What the card of this bundle can tell: it was not trained, and nobody compared it with a Keras model."""
    absent = ("training", "environment", "history", "ensemble", "class_weight", "calibration", "split", "formats")
    return {
        "schema": FACTS_SCHEMA,
        "model": {"schema": "lesionflow.model/1", "architecture": "brightness", "image_size": [60, 80]},
        "policy": json.loads((folder / "decision_policy.json").read_text()),
        "labels": {"classes": ["benign", "malignant"], "statuses": ["ok"], "diagnoses": {}},
        "preprocessing": {
            **preprocessing, "augmentation": "none", "image_size": [60, 80], "max_pixels": 10**8, "min_side": 16,
            "precision": "float32", "record_size": 80, "steps": [],
        },
        "parity": {
            "images_from": "validation",
            "parity": {"images": 8, "changed_decisions": 0, "max_probability_difference": 0.0, "tolerance": 1e-5},
            "preparation": {
                "images": 8, "changed_decisions": 0, "max_absolute_logit_shift": 0.0, "mean_absolute_logit_shift": 0.0,
            },
        },
        **{name: {} for name in absent},
    }  # fmt: skip


class Shipped:
    """Everything evaluate reads, made once: split, model, bundle."""

    def __init__(self, root, whole_index):
        pictures = root / "images"
        pictures.mkdir(parents=True)
        self.pictures = Pictures(pictures, whole_index)
        self.split = self.pictures.write_split(root / "split")
        val = self.pictures.table.query("split == 'val'")
        logit = logits_of(val["uri"]).astype(np.float64)
        text = (val[name].to_numpy(np.str_) for name in ("image_id", "lesion_id", "group_id"))
        scores = Scores(*text, val["label"].to_numpy(np.int8), logit, sigmoid(logit))
        self.model = root / "model"
        with new_artifact(self.model, "model", {"records": "1" * 64}) as folder:
            (folder / "model.keras").write_bytes(b"opaque to evaluate")
            save_scores(folder / "val_probs.npz", scores)
            (folder / "history.csv").write_text(
                "epoch,lr,loss,val_average_precision,val_roc_auc\n1,0.001,0.6,0.5,0.7\n2,0.0005,0.4,0.6,0.8\n"
            )
            ModelFacts(architecture="brightness", image_size=(32, 32)).save(folder)
            write_record(folder, TRAINING_CONFIG, {})
            write_record(folder, ENVIRONMENT, {})
        self.policy = policy_for(self.model / "val_probs.npz", sha256_file(self.model / "model.keras"), 0.1)
        self.bundle = root / "bundle"
        with new_artifact(self.bundle, "bundle", {"model": "2" * 64, "policy": "3" * 64}) as folder:
            self.policy.save(folder / "decision_policy.json")
            facts = {
                "schema": "lesionflow.preprocessing/1",
                "model_sha256": self.policy.model_sha256,
                "policy_id": self.policy.policy_id,
            }
            write_json(folder / "preprocessing.json", facts)
            write_saved_model(folder / "saved_model", self.policy)
            write_card(folder, card_facts(facts, folder))
        self.records = root / "records"
        part = {"expected": 54, "found": 53, "lost": 1, "label_counts": {"0": 35, "1": 18}, "shards": []}
        manifest = {"schema": "lesionflow.records/1", "splits": {"train": part, "val": part, "test": part}}
        manifest["lost"] = [{"image_id": "x1", "split": "train", "label": 0, "reason": "missing"}]
        with new_artifact(self.records, "records", {"split": "4" * 64}) as folder:
            write_json(folder / "manifest.json", manifest)


@pytest.fixture(scope="session")
def shipped(tmp_path_factory, kit):
    return Shipped(tmp_path_factory.mktemp("shipped"), kit.whole_index)


@pytest.fixture
def read():
    return lambda path: json.loads(path.read_text())
