import numpy as np
import pytest

from components.common.errors import ArtifactError, DataError
from components.common.scores import load_extra, load_scores
from components.evaluate.config import EvaluateConfig
from components.evaluate.run import run

FAST = {"resamples": 200, "batch_size": 16, "cases": 3}


@pytest.fixture(scope="module")
def evaluation(shipped, tmp_path_factory):
    out = tmp_path_factory.mktemp("evaluation") / "out"
    config = EvaluateConfig.parse({**FAST, "gate": ["auc.lower >= 0.5", "ap.value >= 0.999"]})
    return run(config, shipped.bundle, shipped.split, shipped.model, shipped.records, out)


def test_the_bundle_is_asked_about_the_original_bytes_of_every_test_image(evaluation, shipped):
    scores = load_scores(evaluation.path / "test_probs.npz")
    test = shipped.pictures.table.query("split == 'test'")
    assert scores.image_id.tolist() == test["image_id"].tolist()
    assert scores.label.tolist() == test["label"].tolist()
    np.testing.assert_allclose(scores.probability, shipped.policy.probability(scores.logit), atol=1e-6)
    assert load_extra(evaluation.path / "test_probs.npz")["sex"].tolist() == test["sex"].tolist()


def test_a_missed_condition_is_listed_and_does_not_stop_the_report(evaluation, read):
    gate = read(evaluation.path / "gate.json")
    assert [c["passed"] for c in gate["conditions"]] == [True, False]
    assert not gate["passed"]
    names = {p.name for p in evaluation.path.iterdir()}
    assert {"metrics.json", "report.html", "summary.md", "test_probs.npz", "val_probs.npz", "context.json"} <= names


def test_equal_inputs_give_equal_bytes(evaluation, shipped, tmp_path):
    config = EvaluateConfig.parse({**FAST, "gate": ["auc.lower >= 0.5", "ap.value >= 0.999"]})
    again = run(config, shipped.bundle, shipped.split, shipped.model, shipped.records, tmp_path / "again")
    assert (again.path / "artifact.json").read_bytes() == (evaluation.path / "artifact.json").read_bytes()


def test_a_test_lesion_that_is_also_in_validation_is_refused(shipped, tmp_path):
    table = shipped.pictures.table.copy()
    table.loc[table["image_id"] == "test0000", "group_id"] = "valG5"
    split = shipped.pictures.write_split(tmp_path / "split", table)
    with pytest.raises(DataError, match="group_id are in test and in val, for example 'valG5'"):
        run(EvaluateConfig.parse(FAST), shipped.bundle, split, None, None, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_changed_bundle_is_refused(shipped, tmp_path):
    import shutil

    copy = tmp_path / "bundle"
    shutil.copytree(shipped.bundle, copy)
    (copy / "preprocessing.json").write_text("{}")
    with pytest.raises(ArtifactError, match=r"preprocessing\.json: sha256"):
        run(EvaluateConfig.parse(FAST), copy, shipped.split, None, None, tmp_path / "out")
