"""Training end to end on small records: the artifact, resume, stops, divergence."""

import csv
import json
import math

import keras
import numpy as np
import pytest

from components.common.artifacts.folder import open_artifact
from components.common.artifacts.json_file import read_json
from components.common.artifacts.scores import load_scores
from components.common.runtime.errors import ArtifactError, DataError, TrainingError
from components.common.statistics.numeric import sigmoid
from components.train import loop
from components.train.feed import plain_batches
from components.train.metrics import validation_metrics
from components.train.records import load_split
from components.train.run import checkpoint_place, refuse_constant, run

RESUMABLE = {"epochs": 3, "deterministic": True, "average": 0.9, "target": "diagnosis"}


@pytest.fixture(scope="module")
def trained(records, tiny, tmp_path_factory):
    out = tmp_path_factory.mktemp("trained") / "model"
    return out, run(tiny(**RESUMABLE), records, out)


def test_the_artifact_is_complete(trained, records):
    out, result = trained
    artifact = open_artifact(out, "model")
    assert artifact.made_from == {"records": open_artifact(records, "records").digest}
    names = {name.split("/")[0] for name in artifact.files}
    assert names == {
        "model.keras",
        "model.json",
        "training_config.json",
        "class_weight.json",
        "history.csv",
        "val_probs.npz",
        "environment.json",
        "tensorboard",
        "train.log",
    }
    model = read_json(out / "model.json", "lesionflow.model/1")
    assert model["image_size"] == [32, 40]
    assert (model["architecture"], model["record_size"], model["target"]) == ("small_cnn", 32, "diagnosis")
    assert read_json(out / "training_config.json", "lesionflow.training_config/1")["early_stopping_patience"] == 5
    assert read_json(out / "class_weight.json", "lesionflow.class_weight/1")["logit_offset"] == pytest.approx(
        math.log(3)
    )
    environment = read_json(out / "environment.json", "lesionflow.environment/1")
    assert environment["packages"]["keras"] == keras.__version__
    assert set(environment["git"]) == {"commit", "dirty"}
    assert "epoch 3/3  train loss " in (out / "train.log").read_text()
    assert "loss 0.0000" not in (out / "train.log").read_text()
    assert result.epochs == 3
    header = next(csv.reader((out / "history.csv").open()))
    assert header[:5] == ["epoch", "learning_rate", "loss", "val_loss", "val_average_precision"]
    assert header[-6:-2] == ["seconds", "images_per_s", "data_wait", "memory_peak_mb"]


def test_the_scores_are_those_of_the_saved_model(trained, records, kit):
    out, result = trained
    scores, val = load_scores(out / "val_probs.npz"), load_split(records, "val", (32, 40), "memory")
    assert list(scores.image_id) == list(val.rows.image_id)
    model = keras.models.load_model(out / "model.keras", compile=False, safe_mode=True)
    images = np.concatenate(list(plain_batches(val, 64))).astype(np.float32)
    np.testing.assert_allclose(np.asarray(model(images, training=False))[:, 0], scores.logit, atol=1e-5)
    np.testing.assert_allclose(scores.probability, sigmoid(scores.logit))
    best = max(kit.history(out), key=lambda row: float(row["val_average_precision"]))
    assert float(best["val_average_precision"]) == pytest.approx(result.average_precision)
    assert int(best["epoch"]) == result.best_epoch


def diverging(monkeypatch, times):
    """Makes the loss of the 8th counted step NaN, `times` times."""
    original, calls = loop.Loop._count, []

    def count(self, pending):
        calls.append(1)
        if len(calls) % 8 == 0 and len(calls) // 8 <= times:
            pending[0] = math.nan
        original(self, pending)

    monkeypatch.setattr(loop.Loop, "_count", count)


def test_nan_goes_back_once_with_a_tenth_of_the_rate(kit, records, tiny, tmp_path, monkeypatch, caplog):
    diverging(monkeypatch, 1)
    run(tiny(epochs=3), records, tmp_path / "model")
    rows = kit.history(tmp_path / "model")
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3]
    assert float(rows[1]["learning_rate"]) < 0.3 * float(rows[0]["learning_rate"]) + 3e-4
    where = "continuing at the start of epoch 2 with a tenth of the learning rate"
    assert f"the loss is nan at step 2 of epoch 2: {where}" in caplog.text


def test_nan_twice_is_a_clear_failure(records, tiny, tmp_path, monkeypatch):
    diverging(monkeypatch, 2)
    with pytest.raises(TrainingError, match=r"diverged again.*lower learning_rate \(received 0\.003\)"):
        run(tiny(epochs=3), records, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_constant_model_is_refused():
    label = np.array([0, 1, 0, 0], np.int8)
    flat = np.full(4, -3.0)
    with pytest.raises(TrainingError, match="degenerate model: predicts benign for every validation image"):
        refuse_constant(validation_metrics(label, flat, 0.7), flat)
    ranking = np.array([-9.0, -1.0, -8.0, -7.0])  # one class at 1/2, but it ranks: calibration will place it
    refuse_constant(validation_metrics(label, ranking, 0.7), ranking)


def test_a_split_of_one_class_is_refused(kit, tiny, tmp_path):
    folder = kit.make_records(tmp_path / "records", train=16, val=8, dx=("nv", "bkl"))
    with pytest.raises(DataError, match="both classes are needed"):
        run(tiny(), folder, tmp_path / "model")


def test_changed_records_are_refused_before_training(kit, tiny, tmp_path):
    folder = kit.make_records(tmp_path / "records", train=16, val=8)
    (folder / "val-00000-of-00002.tfrecord").write_bytes(b"x")
    with pytest.raises(ArtifactError, match="sha256"):
        run(tiny(), folder, tmp_path / "model")


def test_head_warm_up_computes_features_once_and_is_judged(kit, records, tiny, tmp_path, caplog):
    caplog.set_level("INFO")
    run(tiny(epochs=1, warmup_epochs=0, head_epochs=3), records, tmp_path / "model")
    assert "head warm-up: 3 epochs on features of 96 images" in caplog.text
    assert "after head warm-up: val loss 0." in caplog.text
    assert len(kit.history(tmp_path / "model")) == 1


def test_the_cluster_says_where_checkpoints_go(tiny, monkeypatch):
    assert checkpoint_place(tiny()) == ""
    monkeypatch.setenv("LESIONFLOW_CHECKPOINT_ROOT", "gs://bucket/checkpoints/")
    assert checkpoint_place(tiny()) == ""
    monkeypatch.setenv("LESIONFLOW_RUN_ID", "run-7")
    assert checkpoint_place(tiny()) == "gs://bucket/checkpoints/run-7"
    assert checkpoint_place(tiny(checkpoint_dir="/mine")) == "/mine"


def test_event_file_and_history_agree(trained, kit):
    from tensorflow.core.util.event_pb2 import Event

    from components.common.artifacts.tfrecord import read_tfrecord

    (path,) = (trained[0] / "tensorboard").iterdir()
    events = [Event.FromString(data) for data in read_tfrecord(path)][1:]
    values = [{v.tag: v.simple_value for v in event.summary.value}["training/loss"] for event in events]
    assert values == pytest.approx([float(row["loss"]) for row in kit.history(trained[0])])


def test_records_of_the_configuration_are_plain_json(trained):
    config = json.loads((trained[0] / "training_config.json").read_text())
    assert config["deterministic"] is True
    assert config["plateau_factor"] is None


@pytest.mark.parametrize("target", ["binary", "diagnosis"])
def test_either_target_gives_one_malignant_logit_that_export_serves(target, records, tiny, tmp_path):
    from components.export.model_file import load_network

    run(tiny(target=target, epochs=1, warmup_epochs=0), records, tmp_path / "model")
    network = load_network(tmp_path / "model" / "model.keras")
    assert network.output_shape == (None, 1)
    scores, val = load_scores(tmp_path / "model" / "val_probs.npz"), load_split(records, "val", (32, 40), "memory")
    images = np.concatenate(list(plain_batches(val, 64))).astype(np.float32)
    np.testing.assert_allclose(np.asarray(network(images, training=False))[:, 0], scores.logit, atol=1e-5)
    model = read_json(tmp_path / "model" / "model.json", "lesionflow.model/1")
    assert model["classes"] == (["bkl", "mel", "nv"] if target == "diagnosis" else [])
