"""A bundle adjusted for another site: the parent's network to the byte, another policy, every format."""

import importlib.util
import shutil
from dataclasses import replace

import numpy as np
import pytest

from components.common.artifacts.calibration import Counts, Recalibration, SiteFigures, Threshold
from components.common.artifacts.estimate import Estimate
from components.common.artifacts.folder import Artifact, new_artifact, open_artifact
from components.common.artifacts.policy import Calibrator
from components.common.artifacts.scores import Scores, load_scores
from components.common.bundle.load import load_bundle
from components.common.bundle.parity_record import read_formats
from components.common.bundle.preprocessing import Preparation
from components.common.bundle.verify import verify_bundle
from components.common.runtime.errors import ArtifactError
from components.common.statistics.numeric import sigmoid
from components.common.statistics.recalibration import Update
from components.export import adjust as adjusting
from components.export.adjust import adjust
from components.export.config import ExportConfig
from components.export.formats import open_format
from components.export.parity import expected_decisions
from components.export.redecide import check_same_graph
from components.export.run import run

SITE = Artifact(None, "validation", "d" * 64, {}, {})
IDS = np.arange(500).astype(np.str_)
LOGIT = np.linspace(-9, 9, 500)
SCORES = Scores(IDS, IDS, IDS, (LOGIT > 0).astype(np.int8), LOGIT, sigmoid(LOGIT))
SOME = Estimate(value=0.5, lower=0.4, upper=0.6)
NAMES = ("calibration_in_the_large", "slope", "log_loss", "brier", "sensitivity", "specificity")
FIGURES = dict.fromkeys(NAMES, SOME)
RECORD = Recalibration(
    site="Clinic B",
    parent_policy_id="0123456789ab",
    policy_id="ba9876543210",
    scores_sha256="c" * 64,
    config={},
    largest_allowed="intercept",
    why="new intercept",
    update=Update("intercept", intercept=0.4),
    threshold=Threshold(before=0.0, after=0.1, kept=False),
    counts=Counts(n=9, malignant=4, groups=8, malignant_groups=4, benign_groups=4),
    folds=4,
    roc_auc=0.8,
    before=SiteFigures(**FIGURES, calibration_error=0.3),
    cross_fitted=SiteFigures(**FIGURES, calibration_error=0.02),
)
CALIBRATORS = [
    Calibrator("platt", 1.4, {"a": 0.9, "b": 0.1}),
    Calibrator("beta", 1.4, {"a": 0.9, "b": 0.8, "c": 0.1}),
    Calibrator("isotonic", 1.4, {"x": [-2.0, 0.0, 0.5, 2.0], "y": [0.01, 0.3, 0.4, 0.9]}),
]


def moved(policy, calibrator, threshold=0.25):
    """A policy of the same model with all that can differ."""
    calibrator = calibrator.recalibrated(-0.8, 1.4)
    p = float(calibrator.probability(np.array([threshold]))[0])
    return replace(
        policy,
        calibrator=calibrator,
        threshold_logit=threshold,
        threshold_probability=p,
        abstain={"low": p * 0.8, "high": p * 1.1},
        parent={"policy_id": policy.policy_id, "site": "Clinic B"},
    )


def made(parent, policy, out):
    return load_bundle(adjust(parent, policy, RECORD, SITE, SCORES, out))


@pytest.fixture(scope="module")
def chain(bundle, tmp_path_factory):
    """The exported bundle, adjusted three times in a row, with a calibrator of another kind each time."""
    bundles, policy = [bundle], bundle.policy
    for k, calibrator in enumerate(CALIBRATORS):
        policy = moved(policy, calibrator, 0.2 * k)
        bundles.append(made(bundles[-1], policy, tmp_path_factory.mktemp("chain") / "child"))
    return bundles


def test_each_child_gives_the_parents_logits_and_decides_by_its_own_policy(chain, export_inputs):
    files = [path.read_bytes() for path in export_inputs.files.values()] + [b"", b"no image"]
    before = chain[0].predict(files)
    seen = set()
    for child in chain[1:]:
        after, policy = child.predict(files), child.policy
        np.testing.assert_array_equal(before.logit, after.logit)
        assert after.status[-2:].tolist() == ["not_an_image", "not_an_image"]
        assert after.probability[-1] == -1.0 and after.decision[-1] == -1
        logit = after.logit[:-2].astype(float)
        np.testing.assert_allclose(after.probability[:-2], policy.probability(logit), atol=1e-6)
        np.testing.assert_array_equal(after.decision[:-2], expected_decisions(policy, logit))
        assert (after.status[:-2] == "refer").tolist() == (after.decision[:-2] == 2).tolist()
        assert set(after.policy_id) == {policy.policy_id}
        seen |= set(after.decision.tolist())
    assert seen == {-1, 0, 1, 2}


def test_the_whole_graph_of_the_first_is_found_in_the_last(chain):
    digests = check_same_graph(*(one.artifact.path / "saved_model" for one in (chain[0], chain[-1])))
    assert set(digests) == {"serving_default", "predict_pixels"}


def test_the_child_says_what_it_was_made_from_and_carries_what_the_parent_carries(chain):
    parent, child = chain[0].artifact, chain[1].artifact
    expected = {"bundle": parent.digest, "validation": SITE.digest}
    assert child.made_from == {**expected, **{name: parent.made_from[name] for name in ("model", "split")}}
    for name in ("fingerprints.npz", "labels.json", "selftest.jpg"):
        assert child.files[name] == parent.files[name]
    assert len(load_scores(child.path / "reference_probs.npz")) == len(SCORES)
    record = Recalibration.read(child.path)
    assert record.parent == parent.digest
    assert set(record.graph_sha256) == {"serving_default", "predict_pixels"}
    assert record == RECORD.of_bundle(parent.digest, record.graph_sha256)
    card = (child.path / "model_card.md").read_text()
    assert "### Adjusted for Clinic B" in card
    assert "gives the very logits of its parent" in card
    assert open_artifact(parent.path, "bundle").digest == parent.digest
    assert verify_bundle(child.path).policy_id == chain[1].policy.policy_id


def test_a_network_whose_weights_are_variables_keeps_them(bundle, kit, export_inputs, tmp_path):
    """As networks too large for one graph file have them."""
    import keras

    from components.common.bundle.operations import record_operations
    from components.export.graph import write_saved_model

    network = keras.models.load_model(export_inputs.model / "model.keras")
    with new_artifact(tmp_path / "large", "bundle", bundle.artifact.made_from) as folder:
        left_out = shutil.ignore_patterns("artifact.json", "saved_model")
        shutil.copytree(bundle.artifact.path, folder, dirs_exist_ok=True, ignore=left_out)
        how = Preparation(image_size=kit.size, record_size=kit.short)
        write_saved_model(network, bundle.policy, how, folder / "saved_model", most_bytes=0)
        record_operations(folder)
    large = load_bundle(tmp_path / "large")
    assert (tmp_path / "large/saved_model/variables").is_dir()
    child = made(large, moved(large.policy, CALIBRATORS[0]), tmp_path / "child")
    files = [path.read_bytes() for path in export_inputs.files.values()]
    np.testing.assert_array_equal(child.predict(files).logit, large.predict(files).logit)


def test_another_network_is_not_taken_for_the_parents(bundle, kit, tmp_path):
    from components.export.graph import write_saved_model

    how = Preparation(image_size=kit.size, record_size=kit.short)
    write_saved_model(kit.build_network(seed=4), bundle.policy, how, tmp_path / "other")
    with pytest.raises(ArtifactError, match="the graph behind serving_default is not that of"):
        check_same_graph(bundle.artifact.path / "saved_model", tmp_path / "other")


def test_a_policy_of_another_model_is_refused(bundle, tmp_path):
    policy = replace(bundle.policy, model_sha256="f" * 64)
    with pytest.raises(ArtifactError, match="belongs to model ffffffffffff"):
        adjust(bundle, policy, RECORD, SITE, SCORES, tmp_path / "child")
    assert not (tmp_path / "child").exists()


@pytest.mark.skipif(importlib.util.find_spec("tf2onnx") is None, reason="the extra `formats` is not here")
def test_every_format_follows_and_one_whose_packages_are_missing_is_left_out_with_a_sentence(
    bundle, kit, export_inputs, monkeypatch, tmp_path
):
    made_of = export_inputs
    config = ExportConfig(formats=["onnx", "litert"])
    parent = load_bundle(run(config, made_of.model, made_of.policy, made_of.split, tmp_path / "parent").path)
    pixels = np.random.default_rng(0).integers(0, 256, (40, *kit.size, 3), dtype=np.uint8)
    pixels = (pixels * np.linspace(0, 1, 40)[:, None, None, None]).astype(np.uint8)
    before, policy = parent, parent.policy
    for k, calibrator in enumerate(CALIBRATORS[::2]):  # each adjusts the one before it
        policy = moved(policy, calibrator, 0.1 * k)
        before = made(before, policy, tmp_path / f"child{k}")
        entries = read_formats(before.artifact.path)
        for name, file in (("onnx", "model.onnx"), ("litert", "model.tflite")):
            old = open_format(name, tmp_path / "parent" / file)(pixels)
            new = open_format(name, before.artifact.path / file)(pixels)
            logit = new["logit"].astype(float)
            np.testing.assert_array_equal(old["logit"], new["logit"])
            np.testing.assert_allclose(new["probability"], policy.probability(logit), atol=1e-6)
            np.testing.assert_array_equal(new["decision"], expected_decisions(policy, logit))
            assert entries[name].policy_id == policy.policy_id

    def missing(names):
        if "onnx" in names:
            raise adjusting.ConfigError("formats: received 'onnx', which needs tf2onnx")

    monkeypatch.setattr(adjusting, "check_available", missing)
    last = made(parent, moved(parent.policy, CALIBRATORS[0]), tmp_path / "last")
    assert "model.onnx" not in last.artifact.files and "model.tflite" in last.artifact.files
    assert "model.onnx of the parent was left out" in (tmp_path / "last/model_card.md").read_text()
