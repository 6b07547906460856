import json
import math
from pathlib import Path

import pytest
from kfp import dsl

from components.common.artifacts.folder import new_artifact, open_artifact
from components.common.bundle.card import bundle_card
from components.common.runtime.errors import ArtifactError, GateError
from components.evaluate.component import evaluate, gate
from components.evaluate.publish import kfp_page

CONFIG = {"gate": ["ap.lower >= 0.1", "auc >= 0.9999"], "resamples": 500}


@pytest.fixture(scope="module")
def outputs(shipped, tmp_path_factory):
    root = tmp_path_factory.mktemp("component")
    inputs = {
        "bundle": dsl.Model(uri=str(shipped.bundle)),
        "split_data": dsl.Dataset(uri=str(shipped.split)),
        "model": dsl.Model(uri=str(shipped.model)),
        "records": dsl.Dataset(uri=str(shipped.records)),
    }
    made = {
        "evaluation": dsl.Artifact(uri=str(root / "evaluation")),
        "report": dsl.HTML(uri=str(root / "report")),
        "model_card": dsl.Markdown(uri=str(root / "model_card")),
        "roc": dsl.ClassificationMetrics(uri=str(root / "roc")),
        "metrics": dsl.Metrics(uri=str(root / "metrics")),
    }
    evaluate.python_func(**inputs, **made, config=CONFIG)
    return made


def test_no_value_that_reaches_kfp_is_numpy_or_non_finite(outputs):
    for name in ("metrics", "roc"):
        text = json.dumps(outputs[name].metadata, allow_nan=False)
        assert len(text) < 40_000
    assert all(type(v) is float and math.isfinite(v) for v in outputs["metrics"].metadata.values())
    curve = outputs["roc"].metadata["confidenceMetrics"]
    assert len(curve) <= 200
    assert all(math.isfinite(point["confidenceThreshold"]) for point in curve)


def test_the_html_output_is_the_report(outputs):
    kept = Path(outputs["evaluation"].path) / "report.html"
    assert Path(outputs["report"].path).read_text() == kfp_page(kept.read_text())


def test_the_model_card_output_has_the_test_metrics(outputs, shipped):
    card = Path(outputs["model_card"].path).read_text()
    assert card == bundle_card(shipped.bundle, Path(outputs["evaluation"].path))
    assert card != bundle_card(shipped.bundle), "the bundle's own card has no test metrics"


def test_the_evaluation_task_succeeds_and_the_gate_task_fails_with_the_numbers(outputs):
    said = r"1 of 2 release conditions not met; missed: auc >= 0.9999 \(0\.\d+\); passed: ap.lower >= 0.1 \(0\.\d+\)"
    with pytest.raises(GateError, match=said):
        gate.python_func(evaluation=outputs["evaluation"], config=CONFIG)


def test_an_evaluation_that_was_replaced_between_the_tasks_is_refused_whatever_its_hashes_say(outputs, tmp_path):
    handed_over = outputs["evaluation"]
    with new_artifact(tmp_path / "other", "evaluation", open_artifact(Path(handed_over.path), "evaluation").made_from):
        pass
    replaced = dsl.Artifact(uri=str(tmp_path / "other"), metadata=dict(handed_over.metadata))
    with pytest.raises(ArtifactError, match=r"it was replaced in the artifact store: run that task again"):
        gate.python_func(evaluation=replaced, config=CONFIG)
