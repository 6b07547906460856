"""What a whole run shows of itself: precision, loss scale, data wait, stops; on small records."""

import csv
import os
import re
import signal
import time
from dataclasses import replace

import keras
import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from components.common.artifacts.scores import load_scores
from components.common.runtime.errors import TrainingError
from components.train import loop
from components.train import run as train_run
from components.train.run import run
from components.train.sigterm import StoppedError


def rows(path):
    with (path / "history.csv").open(newline="") as handle:
        return list(csv.DictReader(handle))


def stopped_in_epoch_two(monkeypatch, config, records, out):
    """Runs until SIGTERM comes in the second epoch."""
    original, calls = loop.learning_rate, []

    def counted(*arguments):
        calls.append(1)
        if len(calls) == 9:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "learning_rate", counted)
        with pytest.raises(StoppedError):
            run(config, records, out)


class Watched(loop.Loop):
    """Keeps the last loop for the test to look at."""

    last = None

    def __post_init__(self):
        super().__post_init__()
        Watched.last = self


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_keeps_head_and_loss_in_float32_and_resumes_bitwise(
    precision, records, tiny, tmp_path, monkeypatch
):
    monkeypatch.setattr(loop, "Loop", Watched)
    seen = []
    score = keras.ops.binary_crossentropy

    def spied(target, output, **options):
        seen.append(keras.backend.standardize_dtype(output.dtype))
        return score(target, output, **options)

    monkeypatch.setattr("components.train.steps.ops.binary_crossentropy", spied)
    values = {"precision": precision, "epochs": 2, "deterministic": True, "warmup_epochs": 0}
    half = precision.removeprefix("mixed_")
    with monkeypatch.context() as patch:
        if half == "float16":
            patch.setattr(keras.optimizers.LossScaleOptimizer, "__init__", growing())
        run(tiny(**values), records, tmp_path / "calm")
        calm = Watched.last
        config = tiny(**values, checkpoint_dir=str(tmp_path / "state"))
        stopped_in_epoch_two(monkeypatch, config, records, tmp_path / "model")
        run(config, records, tmp_path / "model")
    assert calm.network.classifier.get_layer("small_cnn").get_layer("conv1").compute_dtype == half
    assert calm.network.head.compute_dtype == "float32"
    assert {v.dtype for v in calm.network.classifier.trainable_variables} == {"float32"}
    assert set(seen) == {"float32"}
    assert isinstance(calm.optimizer, keras.optimizers.LossScaleOptimizer) == (half == "float16")
    # twelve steps double the scale three times; a resumed run that forgot it would end with less
    assert scale(Watched.last.optimizer) == scale(calm.optimizer) == (2.0 ** (15 + 3) if half == "float16" else 1.0)
    left, right = (load_scores(tmp_path / name / "val_probs.npz") for name in ("calm", "model"))
    np.testing.assert_array_equal(left.logit, right.logit)
    assert precision in (tmp_path / "model" / "environment.json").read_text()
    assert keras.config.dtype_policy().name == "float32"  # put back for whoever comes next


def growing():
    """The loss scale doubles every 4 steps instead of 2,000."""
    original = keras.optimizers.LossScaleOptimizer.__init__

    def build(self, inner, **options):
        original(self, inner, **{**options, "dynamic_growth_steps": 4})

    return build


def scale(optimizer):
    return float(optimizer.dynamic_scale) if isinstance(optimizer, keras.optimizers.LossScaleOptimizer) else 1.0


class Slow:
    """Images from a disk that takes its time."""

    def __init__(self, images):
        self.images = images

    def get(self, index):
        time.sleep(0.02)
        return self.images.get(index)


@pytest.mark.parametrize("slow", ["feed", "step"])
def test_data_wait_tells_a_slow_feed_from_a_slow_step(slow, records, tiny, tmp_path, monkeypatch, caplog):
    load, count = train_run.load_split, loop.Loop._count

    def slow_split(*arguments):
        data = load(*arguments)
        return replace(data, images=Slow(data.images)) if arguments[1] == "train" else data

    def slow_count(self, pending):
        time.sleep(0.2)
        count(self, pending)

    if slow == "feed":  # 6 batches of 16 images take 1.9 s, and their steps some milliseconds
        monkeypatch.setattr(train_run, "load_split", slow_split)
    else:
        monkeypatch.setattr(loop.Loop, "_count", slow_count)
    run(tiny(epochs=2, feed_threads=1), records, tmp_path / "model")
    epochs = rows(tmp_path / "model")
    wait, seconds = float(epochs[1]["data_wait"]), float(epochs[1]["seconds"])  # the first epoch compiles
    assert wait > 0.5 if slow == "feed" else wait < 0.5
    assert wait * seconds > 1.5 or slow == "step"  # the seconds slept, not a share that merely looks right
    assert ("waited for data" in caplog.text) == any(float(row["data_wait"]) > 0.1 for row in epochs)


def test_plateau_early_stopping_and_the_kept_weights_all_follow_exact_average_precision(
    records, tiny, tmp_path, monkeypatch, caplog
):
    caplog.set_level("INFO")
    scored, score = [], loop.Loop.score

    def noted(self, stop=None, *, averaged=True):
        out = score(self, stop, averaged=averaged)
        scored.append(average_precision_score(self.val.rows.label, out.logit))
        return out

    monkeypatch.setattr(loop.Loop, "score", noted)
    plan = {"schedule": "plateau", "plateau_patience": 1, "plateau_factor": 0.5, "early_stopping_patience": 3}
    result = run(tiny(epochs=40, learning_rate=0.05, warmup_epochs=0, **plan), records, tmp_path / "model")
    epochs = rows(tmp_path / "model")
    values = [float(row["val_average_precision"]) for row in epochs]
    per_epoch = scored[1::2][: len(values)]  # a score with the average applied calls itself
    np.testing.assert_allclose(values, per_epoch, atol=1e-12)
    best = int(np.argmax(values))
    assert len(values) < 40
    assert len(values) - 1 - best == 3
    assert result.best_epoch == best + 1
    assert result.average_precision == pytest.approx(values[best], abs=1e-12)
    scores = load_scores(tmp_path / "model" / "val_probs.npz")
    assert average_precision_score(scores.label, scores.logit) == pytest.approx(values[best], abs=1e-12)
    rate, top = 0.05, -1.0
    for row, value in zip(epochs, values, strict=True):
        assert float(row["learning_rate"]) == pytest.approx(rate)
        rate, top = (rate, value) if value > top else (rate / 2, top)
    lowered = [float(text) for text in re.findall(r"learning rate lowered to (\S+)", caplog.text)]
    assert lowered
    assert lowered[-1] == pytest.approx(rate, rel=1e-2)
    assert "stopped early: no better average precision for 3 epochs" in caplog.text


@pytest.mark.parametrize("average", [0.0, 0.5])
def test_a_nan_in_the_weights_themselves_leaves_no_trace(average, records, tiny, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(loop, "Loop", Watched)
    original, calls = loop.learning_rate, []

    def poisoning(*arguments):
        calls.append(1)
        if len(calls) == 10:  # in the second epoch: the step after it spoils every weight, moment and statistic
            head = Watched.last.network.head
            head.bias.assign(np.full(head.bias.shape, np.nan))
        return original(*arguments)

    monkeypatch.setattr(loop, "learning_rate", poisoning)
    result = run(tiny(epochs=3, average=average), records, tmp_path / "model")
    assert caplog.text.count("continuing at the start of epoch 2 with a tenth of the learning rate") == 1
    assert [row["epoch"] for row in rows(tmp_path / "model")] == ["1", "2", "3"]
    assert result.epochs == 3
    for variable in [*Watched.last.network.classifier.variables, *Watched.last.optimizer.variables]:
        assert np.isfinite(np.asarray(variable.numpy(), float)).all(), variable.path
    assert all(np.isfinite(one).all() for one in Watched.last.average.values())


def test_a_run_that_learns_nothing_fails_in_words_and_leaves_nothing(records, tiny, tmp_path):
    with pytest.raises(
        TrainingError,
        match=r"degenerate model: (gives the same score to|predicts \w+ for) every .* image \(logits \S+e-1\d to",
    ):
        run(tiny(epochs=1, warmup_epochs=0, learning_rate=1e-12), records, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []
