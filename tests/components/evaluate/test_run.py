import shutil
from dataclasses import replace

import numpy as np
import pytest

from components.common.artifacts.folder import new_artifact, open_artifact
from components.common.artifacts.lineage import load_lineage
from components.common.artifacts.scores import load_extra, load_scores, save_scores
from components.common.artifacts.split import read_record, read_split
from components.common.artifacts.trust import load_trust
from components.common.runtime.errors import ArtifactError, ConfigError, DataError, GateError
from components.evaluate.__main__ import main
from components.evaluate.belongs import refuse_seen
from components.evaluate.config import EvaluateConfig
from components.evaluate.proof import enforce
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
    assert names == {
        "artifact.json", "characteristics.json", "context.json", "decision_policy.json", "gate.json", "lineage.json",
        "metrics.json", "predictions.csv", "report.html", "summary.md", "test_probs.npz", "trust.json",
        "val_probs.npz",
    }  # fmt: skip


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


def without_fingerprints(bundle, path):
    with new_artifact(path, "bundle", open_artifact(bundle, "bundle").made_from) as folder:
        left_out = shutil.ignore_patterns("artifact.json", "fingerprints.npz")
        shutil.copytree(bundle, folder, dirs_exist_ok=True, ignore=left_out)
    return path


def test_a_split_whose_test_images_the_bundle_has_seen_is_refused(shipped, tmp_path):
    table = shipped.pictures.table.copy()
    swapped = {"train": "test", "test": "train", "val": "val"}
    split = shipped.pictures.write_split(tmp_path / "split", table.assign(split=table["split"].map(swapped)))
    seen = r"54 images with equal bytes, 36 lesion_ids, 36 group_ids \(train0000, "
    with pytest.raises(DataError, match=seen):
        run(EvaluateConfig.parse(FAST), shipped.bundle, split, None, None, tmp_path / "out")
    old = without_fingerprints(shipped.bundle, tmp_path / "old")
    with pytest.raises(ArtifactError, match=r"was made from the split with digest \w+, .* may have been trained on"):
        run(EvaluateConfig.parse(FAST), old, split, None, None, tmp_path / "out")


def test_a_split_of_other_images_is_evaluated_and_the_report_says_how_it_is_known(shipped, tmp_path):
    table = shipped.pictures.table
    split = shipped.pictures.write_split(tmp_path / "split", table[table["lesion_id"] != "trainL0"])
    run(EvaluateConfig.parse(FAST), shipped.bundle, split, None, None, tmp_path / "out")
    answers = " ".join(line.answer for line in load_trust(tmp_path / "out/trust.json"))
    assert "made with another split; by its fingerprints it has seen no image" in answers


def opened(folder, shipped, table, own):
    """A split of the table, and the bundle as if it had been made with that split, or with another one."""
    split = open_artifact(shipped.pictures.write_split(folder, table), "split")
    bundle = open_artifact(shipped.bundle, "bundle")
    return replace(bundle, made_from={**bundle.made_from, "split": split.digest if own else "0" * 64}), split


def test_a_test_image_that_is_a_copy_of_a_training_image_is_refused_in_another_split(shipped, tmp_path):
    table = shipped.pictures.table.copy()
    copied = table["image_id"] == "test0000"
    table.loc[copied, "picture_key"] = table.loc[table["image_id"] == "train0000", "picture_key"].item()
    bundle, split = opened(tmp_path / "split", shipped, table, own=False)
    with pytest.raises(DataError, match=r"images of this test set: 1 near-duplicate image \(test0000\)"):
        refuse_seen(bundle, split, read_split(split.path))


def test_in_its_own_split_equal_bytes_are_refused_and_what_the_split_counts_is_left_to_it(shipped, tmp_path):
    """Near-duplicates and patients may cross a split that was not asked to keep them together."""
    table = shipped.pictures.table.assign(patient_id="P1")
    copied, trained = table["image_id"] == "test0000", table["image_id"] == "train0000"
    table.loc[copied, "picture_key"] = table.loc[trained, "picture_key"].item()
    bundle, split = opened(tmp_path / "split", shipped, table, own=True)
    refuse_seen(bundle, split, read_split(split.path))
    table.loc[copied, "sha256"] = table.loc[trained, "sha256"].item()
    bundle, split = opened(tmp_path / "again", shipped, table, own=True)
    with pytest.raises(DataError, match=r"images of this test set: 1 image with equal bytes \(test0000\)"):
        refuse_seen(bundle, split, read_split(split.path))


def test_records_of_another_split_are_refused(shipped, tmp_path):
    with new_artifact(tmp_path / "records", "records", {"split": "5" * 64}) as folder:
        shutil.copy(shipped.records / "manifest.json", folder / "manifest.json")
    with pytest.raises(ArtifactError, match=r"records: was made from the split with digest 555555555555"):
        run(EvaluateConfig.parse(FAST), shipped.bundle, shipped.split, None, tmp_path / "records", tmp_path / "out")


def test_records_the_model_was_not_trained_on_are_refused(shipped, tmp_path):
    with new_artifact(tmp_path / "records", "records", open_artifact(shipped.records, "records").made_from) as folder:
        (folder / "manifest.json").write_text((shipped.records / "manifest.json").read_text() + " ")
    config = EvaluateConfig.parse(FAST)
    with pytest.raises(ArtifactError, match="give --records the records that this model was trained on"):
        run(config, shipped.bundle, shipped.split, shipped.model, tmp_path / "records", tmp_path / "out")


def test_every_opening_of_the_test_set_is_noted_shown_and_can_be_gated(shipped, tmp_path, monkeypatch, read):
    config = EvaluateConfig.parse(
        {**FAST, "cases": 0, "ledger": str(tmp_path / "kept"), "gate": ["test.openings <= 1"]}
    )
    first = run(config, shipped.bundle, shipped.split, None, None, tmp_path / "first")
    assert first.verdicts[0].passed
    assert "opened <b>once</b>, by this bundle only" in (first.path / "report.html").read_text()
    monkeypatch.setenv("LESIONFLOW_CHECKPOINT_ROOT", str(tmp_path / "kept"))  # as a pod is told
    config = config.model_copy(update={"ledger": ""})
    second = run(config, shipped.bundle, shipped.split, None, None, tmp_path / "second")
    assert (second.verdicts[0].received, second.verdicts[0].passed) == (2, False)
    openings = read(second.path / "openings.json")["openings"]
    digest = open_artifact(shipped.bundle, "bundle").digest
    assert [(one["split"], one["bundle"]) for one in openings] == [(read_record(shipped.split).sha256, digest)] * 2
    with pytest.raises(GateError, match=r"missed: test\.openings <= 1 \(2\.0000\)"):
        enforce(second.path)
    line = next(one for one in load_trust(second.path / "trust.json") if one.key == "test_openings")
    assert (line.level, line.answer) == ("green", "2 times, by this bundle only")


def test_without_a_ledger_the_report_says_so_and_the_gate_knows_nothing(evaluation, shipped, tmp_path):
    assert (
        "No ledger was kept: how often this test set has been opened" in (evaluation.path / "report.html").read_text()
    )
    config = EvaluateConfig.parse({**FAST, "cases": 0, "gate": ["test.openings <= 9"]})
    verdict = run(config, shipped.bundle, shipped.split, None, None, tmp_path / "out").verdicts[0]
    assert (verdict.received, verdict.passed) == (None, False)


def test_a_ledger_that_cannot_be_written_stops_before_a_test_image_is_read(shipped, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("components.evaluate.run.score", lambda *_: pytest.fail("the test set was opened"))
    config = EvaluateConfig.parse({**FAST, "ledger": str(tmp_path / "file")})
    with pytest.raises(ConfigError, match="ledger: received"):
        run(config, shipped.bundle, shipped.split, None, None, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_swapped_test_images_are_refused(shipped, tmp_path):
    table = shipped.pictures.table.copy()
    one, two = table.index[table["split"] == "test"][[0, 3]]
    table.loc[[one, two], "uri"] = table.loc[[two, one], "uri"].to_numpy()
    split = shipped.pictures.write_split(tmp_path / "split", table)
    bundle = tmp_path / "bundle"
    made_from = open_artifact(shipped.bundle, "bundle").made_from
    with new_artifact(bundle, "bundle", {**made_from, "split": open_artifact(split, "split").digest}) as folder:
        shutil.copytree(shipped.bundle, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("artifact.json"))
    with pytest.raises(DataError, match=r"its sha256 begins \w+, ingest saw \w+: the file was changed or swapped"):
        run(EvaluateConfig.parse(FAST), bundle, split, None, None, tmp_path / "out")


def test_the_lineage_follows_every_row_and_the_report_shows_it(evaluation, shipped):
    lineage = load_lineage(evaluation.path / "lineage.json")
    assert lineage.table.images == len(shipped.pictures.table)
    assert lineage.read.images == evaluation.metrics.n
    assert lineage.read.malignant == evaluation.metrics.malignant
    assert lineage.parts["train"].lost_in_records.malignant == 1
    assert lineage.malignant_diagnoses == ["mel"]
    html = (evaluation.path / "report.html").read_text()
    assert "changed or gone since ingest, not in the records" in html
    assert "Counted as malignant:\n  mel" in html


def test_generated_images_are_announced(evaluation):
    html = (evaluation.path / "report.html").read_text()
    assert "Generated data: 162 of 162 images" in html


def test_a_changed_bundle_is_refused(shipped, tmp_path):
    copy = tmp_path / "bundle"
    shutil.copytree(shipped.bundle, copy)
    (copy / "preprocessing.json").write_text("{}")
    with pytest.raises(ArtifactError, match=r"preprocessing\.json: sha256"):
        run(EvaluateConfig.parse(FAST), copy, shipped.split, None, None, tmp_path / "out")


def another_model(shipped, path, keras=b"", scores=None):
    """The shipped model with another network or other validation scores."""
    with new_artifact(path, "model", {}) as folder:
        shutil.copytree(shipped.model, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("artifact.json"))
        if keras:
            (folder / "model.keras").write_bytes(keras)
        if scores:
            save_scores(folder / "val_probs.npz", scores)
    return path


def test_a_policy_of_another_model_is_refused(shipped, tmp_path):
    model = another_model(shipped, tmp_path / "model", keras=b"another network")
    with pytest.raises(ArtifactError, match=r"policy \w+ belongs to a model\.keras with sha256 \w+, .* holds \w+"):
        run(EvaluateConfig.parse(FAST), shipped.bundle, shipped.split, model, None, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_policy_chosen_on_other_validation_scores_is_refused(shipped, sim, tmp_path):
    model = another_model(shipped, tmp_path / "model", scores=sim(40, 0))
    with pytest.raises(ArtifactError, match=r"policy \w+ belongs to a val_probs\.npz with sha256 \w+"):
        run(EvaluateConfig.parse(FAST), shipped.bundle, shipped.split, model, None, tmp_path / "out")


def test_a_model_that_differs_in_what_it_says_of_its_training_is_refused(shipped, tmp_path):
    model = another_model(shipped, tmp_path / "model")
    with pytest.raises(ArtifactError, match=r"bundle: was made from the model with digest \w+, .* exported from"):
        run(EvaluateConfig.parse(FAST), shipped.bundle, shipped.split, model, None, tmp_path / "out")


def test_model_and_records_may_be_left_out(shipped, tmp_path):
    result = run(EvaluateConfig.parse(FAST), shipped.bundle, shipped.split, None, None, tmp_path / "out")
    assert result.metrics.validation is None
    assert not (result.path / "val_probs.npz").exists()
    assert "Training and provenance" in (result.path / "report.html").read_text()


def test_a_champion_on_identical_images_is_compared_and_gated(evaluation, shipped, tmp_path, read):
    config = {**FAST, "champion": str(evaluation.path), "gate": ["champion.auc_difference.lower >= -0.01"]}
    result = run(EvaluateConfig.parse(config), shipped.bundle, shipped.split, None, None, tmp_path / "out")
    assert result.metrics.champion.auc_difference.value == 0.0
    assert result.verdicts[0].passed


def test_the_command_writes_the_report_and_leaves_with_1_on_a_missed_gate(shipped, tmp_path, capsys):
    arguments = ["--bundle", shipped.bundle, "--split", shipped.split, "--out", tmp_path / "out", "--resamples", 200]
    assert main([str(a) for a in (*arguments, "--gate", "auc >= 0.9999")]) == 1
    assert "missed: auc >= 0.9999 (0." in capsys.readouterr().err
    assert (tmp_path / "out" / "report.html").is_file()


def test_an_unreadable_champion_is_named_before_anything_is_written(shipped, tmp_path, capsys):
    arguments = ["--bundle", shipped.bundle, "--split", shipped.split, "--out", tmp_path / "out"]
    assert main([str(a) for a in (*arguments, "--champion", tmp_path / "none.npz")]) == 1
    assert "none.npz: no such file; expected scores" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
