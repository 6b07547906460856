"""Training end to end on small records: the artifact, resume, stops, divergence."""

import csv
import json
import math
import os
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

from components.common.artifacts import open_artifact, read_json
from components.common.decision import sigmoid
from components.common.errors import ArtifactError, DataError, TrainingError
from components.common.scores import load_scores
from components.train import loop
from components.train.checkpoint import NAME
from components.train.epoch_report import COLUMNS, MACHINE_COLUMNS
from components.train.feed import plain_batches
from components.train.interruption import StoppedError
from components.train.metrics import validation_metrics
from components.train.records import load_split
from components.train.run import checkpoint_place, refuse_constant, run

RESUMABLE = {"epochs": 3, "deterministic": True, "average": 0.9, "target": "diagnosis"}


def history(path):
    with (path / "history.csv").open(newline="") as handle:
        return [{k: v for k, v in row.items() if k not in MACHINE_COLUMNS} for row in csv.DictReader(handle)]


def weights(path):
    return [np.asarray(w) for w in keras.models.load_model(path / "model.keras", compile=False).weights]


def same_result(left, right):
    assert history(left) == history(right)
    for a, b in zip(weights(left), weights(right), strict=True):
        np.testing.assert_array_equal(a, b)
    assert (left / "val_probs.npz").read_bytes() == (right / "val_probs.npz").read_bytes()


@pytest.fixture(scope="module")
def trained(records, tiny, tmp_path_factory):
    out = tmp_path_factory.mktemp("trained") / "model"
    return out, run(tiny(**RESUMABLE), records, out)


def test_the_artifact_is_complete(trained, records):
    out, result = trained
    artifact = open_artifact(out, "model")
    assert artifact.made_from == {"records": open_artifact(records, "records").digest}
    names = {name.split("/")[0] for name in artifact.files}
    assert names == {"model.keras", "model.json", "training_config.json", "class_weight.json", "history.csv",
                     "val_probs.npz", "environment.json", "tensorboard", "train.log"}  # fmt: skip
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
    assert "epoch 3 of 3" in (out / "train.log").read_text()
    assert result.epochs == 3
    assert tuple(next(csv.reader((out / "history.csv").open()))) == COLUMNS


def test_the_scores_are_those_of_the_saved_model(trained, records):
    out, result = trained
    scores, val = load_scores(out / "val_probs.npz"), load_split(records, "val", (32, 40), "memory")
    assert list(scores.image_id) == list(val.rows.image_id)
    model = keras.models.load_model(out / "model.keras", compile=False, safe_mode=True)
    images = np.concatenate(list(plain_batches(val, 64))).astype(np.float32)
    np.testing.assert_allclose(np.asarray(model(images, training=False))[:, 0], scores.logit, atol=1e-5)
    np.testing.assert_allclose(scores.probability, sigmoid(scores.logit))
    best = max(history(out), key=lambda row: float(row["val_average_precision"]))
    assert float(best["val_average_precision"]) == pytest.approx(result.average_precision)
    assert int(best["epoch"]) == result.best_epoch


@pytest.mark.parametrize("stop_after", [3, 6, 8])  # in an epoch, at its end, in the next
def test_a_stopped_run_goes_on_to_bitwise_the_same_result(stop_after, trained, records, tiny, tmp_path, monkeypatch):
    config = tiny(**RESUMABLE, checkpoint_dir=str(tmp_path / "state"))
    count, original = [0], loop.learning_rate

    def counted(*arguments):
        count[0] += 1
        if count[0] == stop_after + 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "learning_rate", counted)
        with pytest.raises(StoppedError, match=r"stopped by SIGTERM in epoch .* go on from") as caught:
            run(config, records, tmp_path / "model")
    assert caught.value.exit_code == 75
    assert not (tmp_path / "model").exists()
    run(config, records, tmp_path / "model")
    same_result(trained[0], tmp_path / "model")


def test_a_finished_run_again_gives_the_same_without_training(trained, records, tiny, tmp_path, monkeypatch):
    config = tiny(**RESUMABLE, checkpoint_dir=str(tmp_path / "state"))
    run(config, records, tmp_path / "first")
    monkeypatch.setattr(loop.Loop, "_epoch", lambda *_: pytest.fail("trained again"))
    run(config, records, tmp_path / "second")
    same_result(trained[0], tmp_path / "first")
    same_result(tmp_path / "first", tmp_path / "second")


def test_a_killed_process_goes_on_to_the_same_result(records, tiny, tmp_path):
    config = tiny(epochs=12, deterministic=True, checkpoint_dir=str(tmp_path / "state"), early_stopping_patience=0)
    command = [sys.executable, "-m", "components.train", "--records", str(records), "--out", str(tmp_path / "model")]
    for name, value in config.model_dump().items():
        if value is not None and value != "":
            command += [f"--{name}", str(value)]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}

    def start():
        return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)

    process = start()
    deadline = time.monotonic() + 120
    while not (tmp_path / "state" / NAME).exists():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "model").exists()
    process = start()
    errors = process.communicate(timeout=200)[1]
    assert process.returncode == 0, errors
    assert "going on from epoch" in errors
    run(tiny(**{**config.model_dump(exclude_none=True), "checkpoint_dir": ""}), records, tmp_path / "undisturbed")
    same_result(tmp_path / "undisturbed", tmp_path / "model")


def test_a_resume_file_of_another_configuration_is_refused(records, tiny, tmp_path):
    place = str(tmp_path / "state")
    run(tiny(epochs=1, warmup_epochs=0, checkpoint_dir=place), records, tmp_path / "a")
    with pytest.raises(ArtifactError, match="belongs to records and configuration"):
        run(tiny(epochs=1, warmup_epochs=0, checkpoint_dir=place, seed=6), records, tmp_path / "b")
    assert not (tmp_path / "b").exists()


def diverging(monkeypatch, times):
    """Makes the loss of the 8th counted step NaN, `times` times."""
    original, calls = loop.Loop._count, []

    def count(self, loss):
        calls.append(1)
        if len(calls) % 8 == 0 and len(calls) // 8 <= times:
            loss = math.nan
        original(self, loss)

    monkeypatch.setattr(loop.Loop, "_count", count)


def test_nan_goes_back_once_with_a_tenth_of_the_rate(records, tiny, tmp_path, monkeypatch, caplog):
    diverging(monkeypatch, 1)
    run(tiny(epochs=3), records, tmp_path / "model")
    rows = history(tmp_path / "model")
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3]
    assert float(rows[1]["learning_rate"]) < 0.3 * float(rows[0]["learning_rate"]) + 3e-4
    assert "the loss is nan" in caplog.text
    assert "a tenth of the learning rate" in caplog.text


def test_nan_twice_is_a_clear_failure(records, tiny, tmp_path, monkeypatch):
    diverging(monkeypatch, 2)
    with pytest.raises(TrainingError, match=r"diverged again.*lower learning_rate \(received 0\.003\)"):
        run(tiny(epochs=3), records, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_constant_model_is_refused():
    label = np.array([0, 1, 0, 0], np.int8)
    flat = np.full(4, -3.0)
    with pytest.raises(TrainingError, match="calls every validation image benign"):
        refuse_constant(validation_metrics(label, flat), flat)
    ranking = np.array([-9.0, -1.0, -8.0, -7.0])  # one class at 1/2, but it ranks: calibration will place it
    refuse_constant(validation_metrics(label, ranking), ranking)


def test_a_split_of_one_class_is_refused(kit, tiny, tmp_path):
    folder = kit.make_records(tmp_path / "records", train=16, val=8, dx=("nv", "bkl"))
    with pytest.raises(DataError, match="both classes are needed"):
        run(tiny(), folder, tmp_path / "model")


def test_changed_records_are_refused_before_training(kit, tiny, tmp_path):
    folder = kit.make_records(tmp_path / "records", train=16, val=8)
    (folder / "val-00000-of-00002.tfrecord").write_bytes(b"x")
    with pytest.raises(ArtifactError, match="sha256"):
        run(tiny(), folder, tmp_path / "model")


def test_head_warm_up_computes_features_once_and_is_judged(records, tiny, tmp_path, caplog):
    caplog.set_level("INFO")
    run(tiny(epochs=1, warmup_epochs=0, head_epochs=3), records, tmp_path / "model")
    assert "head: 3 epochs on features of 96 images" in caplog.text
    assert "after head warm-up: average precision" in caplog.text
    assert len(history(tmp_path / "model")) == 1


def test_the_cluster_says_where_resume_files_go(tiny, monkeypatch):
    assert checkpoint_place(tiny()) == ""
    monkeypatch.setenv("LESIONFLOW_CHECKPOINT_ROOT", "gs://bucket/checkpoints/")
    assert checkpoint_place(tiny()) == ""
    monkeypatch.setenv("LESIONFLOW_RUN_ID", "run-7")
    assert checkpoint_place(tiny()) == "gs://bucket/checkpoints/run-7"
    assert checkpoint_place(tiny(checkpoint_dir="/mine")) == "/mine"


def test_event_file_and_history_agree(trained):
    from tensorflow.core.util.event_pb2 import Event

    from components.common.tfrecord import read_tfrecord

    (path,) = (trained[0] / "tensorboard").iterdir()
    events = [Event.FromString(data) for data in read_tfrecord(path)][1:]
    values = [{v.tag: v.simple_value for v in event.summary.value}["training/loss"] for event in events]
    assert values == pytest.approx([float(row["loss"]) for row in history(trained[0])])


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
