"""An ensemble on its way to a bundle: one graph, one policy, compared with its members."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from components.common.artifacts.scores import load_scores
from components.common.bundle.load import load_bundle
from components.export.config import ExportConfig
from components.export.redecide import check_same_graph, write_again
from components.export.run import run as export
from components.train.ensemble import run as ensemble


@pytest.fixture(scope="module")
def shipped(export_inputs, kit, tmp_path_factory):
    """A float32 and a mixed-precision member, exported with test-time augmentation."""
    root = tmp_path_factory.mktemp("ensemble")
    kit.write_model(root / "other", export_inputs.files, policy="mixed_bfloat16", seed=4)
    members = [export_inputs.model, root / "other"]
    ensemble(members, root / "model")
    logit = np.sort(load_scores(root / "model" / "val_probs.npz").logit)
    kit.write_policy(root / "policy", root / "model", float(logit[7] + logit[8]) / 2)
    config = ExportConfig.parse({"augmentation": "flips"})
    result = export(config, root / "model", root / "policy", export_inputs.split, root / "bundle")
    return members, result


def test_the_bundle_of_an_ensemble_is_in_parity_with_it(shipped, kit):
    _, result = shipped
    parity = result.parity.parity
    assert parity.images == kit.count
    assert parity.changed_decisions == 0
    assert parity.max_probability_difference <= 1e-5


def test_the_bundle_answers_with_the_mean_of_what_its_members_bundles_answer(shipped, export_inputs, kit, tmp_path):
    members, result = shipped
    files = [path.read_bytes() for path in list(export_inputs.files.values())[:6]]
    logits = []
    for i, member in enumerate(members):
        kit.write_policy(tmp_path / f"policy{i}", member, 0.0)
        config = ExportConfig.parse({"augmentation": "flips"})
        single = export(config, member, tmp_path / f"policy{i}", None, tmp_path / f"bundle{i}")
        logits.append(load_bundle(single.path).predict(files).logit)
    bundle = load_bundle(result.path)
    answers = bundle.predict(files)
    np.testing.assert_allclose(answers.logit, np.mean(logits, axis=0), atol=1e-4)
    np.testing.assert_allclose(bundle.member_logits(files), np.transpose(logits), atol=1e-4)
    assert bundle.member_logits([]).shape == (0, 2)
    assert load_bundle(single.path).member_logits(files) is None
    assert set(answers.policy_id) == {result.policy_id}


def test_gains_of_ensemble_and_augmentation_are_in_the_bundle_and_its_card(shipped):
    _, result = shipped
    card = (result.path / "model_card.md").read_text()
    assert "small_cnn (ensemble): malignant or benign" in card
    assert "| mean of the members | ROC-AUC |" in card
    assert "Test-time augmentation (`flips`), on 24 validation images" in card
    assert result.parity.augmentation.roc_auc.gain.lower is not None


def test_an_adjusted_ensemble_still_says_what_each_member_says(shipped, kit, tmp_path):
    _, result = shipped
    parent, files = load_bundle(result.path), [kit.jpeg(30 + k) for k in range(3)]
    threshold = parent.policy.threshold_logit + 0.1
    probability = float(parent.policy.calibrator.probability(np.array([threshold]))[0])
    of = {"policy_id": parent.policy.policy_id, "site": "Clinic B"}
    policy = replace(parent.policy, threshold_logit=threshold, threshold_probability=probability, parent=of)
    out = tmp_path / "child"
    out.mkdir()
    write_again(parent, policy, out / "saved_model")
    assert "member_logits" in check_same_graph(parent.artifact.path / "saved_model", out / "saved_model")
    child = replace(parent, signatures=tf.saved_model.load(str(out / "saved_model")).signatures)
    np.testing.assert_array_equal(child.member_logits(files), parent.member_logits(files))
