"""The KFP interface with real artifact objects, and the command line."""

import json

from kfp import dsl

from components.common.artifacts.folder import open_artifact
from components.train.__main__ import main
from components.train.component import train


def test_component_trains_and_logs_finite_metrics(records, tmp_path):
    model = dsl.Model(uri=str(tmp_path / "model"))
    metrics = dsl.Metrics(uri=str(tmp_path / "metrics"))
    train.python_func(
        records=dsl.Dataset(uri=str(records)),
        model=model,
        metrics=metrics,
        config=json.dumps(
            {
                "architecture": "small_cnn",
                "image_size": "32x40",
                "epochs": 1,
                "batch_size": 16,
                "learning_rate": 3e-3,
                "warmup_epochs": 0.0,
            }
        ),
    )
    open_artifact(tmp_path / "model", "model")
    assert set(metrics.metadata) == {"average_precision", "roc_auc", "best_epoch", "epochs"}
    assert all(type(value) is float for value in metrics.metadata.values())


def test_a_bad_parameter_is_exit_code_2_and_writes_nothing(records, tmp_path, capsys):
    code = main(
        ["--records", str(records), "--out", str(tmp_path / "m"), "--schedule", "plateau", "--warmup_epochs", "1"]
    )
    assert code == 2
    assert "warmup_epochs" in capsys.readouterr().err
    assert not (tmp_path / "m").exists()


def test_a_missing_artifact_is_exit_code_1(tmp_path, capsys):
    assert main(["--records", str(tmp_path / "none"), "--out", str(tmp_path / "m")]) == 1
    assert "no such folder" in capsys.readouterr().err
