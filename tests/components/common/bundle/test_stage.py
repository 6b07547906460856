"""Copying a bundle to where a model server reads it."""

import shutil

import pytest
import tensorflow as tf

from components.common.artifacts.folder import open_artifact
from components.common.bundle.stage import stage_bundle
from components.common.runtime.errors import ArtifactError, ConfigError


def test_a_version_is_a_loadable_saved_model_with_its_policy_beside(exported, bundle, kit, tmp_path):
    place = stage_bundle(exported.path, str(tmp_path / "lesionflow"), 3)
    assert place == str(tmp_path / "lesionflow" / "3")
    loaded = tf.saved_model.load(place)
    answer = loaded.signatures["serving_default"](image_bytes=tf.constant([kit.jpeg(0)]))
    assert float(answer["logit"][0]) == pytest.approx(float(bundle.predict([kit.jpeg(0)]).logit[0]), abs=1e-6)
    policy = tmp_path / "lesionflow" / "3" / "assets.extra" / "decision_policy.json"
    assert policy.read_bytes() == (exported.path / "decision_policy.json").read_bytes()


def test_a_served_version_never_changes(exported, tmp_path):
    stage_bundle(exported.path, str(tmp_path), 1)
    with pytest.raises(ArtifactError, match="a served version never changes"):
        stage_bundle(exported.path, str(tmp_path), 1)


def test_an_edited_bundle_or_an_impossible_version_copies_nothing(exported, tmp_path):
    copy = shutil.copytree(exported.path, tmp_path / "bundle")
    (copy / "labels.json").write_text("{}")
    with pytest.raises(ArtifactError, match="sha256"):
        stage_bundle(copy, str(tmp_path / "served"), 1)
    with pytest.raises(ConfigError, match="version: received 0"):
        stage_bundle(exported.path, str(tmp_path / "served"), 0)
    assert not (tmp_path / "served").exists()


def test_the_staged_card_has_the_metrics_of_the_evaluation(exported, evaluation_of, metrics, tmp_path):
    digest = open_artifact(exported.path, "bundle").digest
    evaluation_of(tmp_path / "evaluation", digest)
    place = stage_bundle(exported.path, str(tmp_path / "served"), 1, evaluation=tmp_path / "evaluation")
    card = (tmp_path / "served" / "1" / "assets.extra" / "model_card.md").read_text()
    assert place.endswith("/1")
    assert f"| ROC-AUC | {metrics.roc_auc.value:.3f} (" in card
    assert digest in card
    evaluation_of(tmp_path / "other", "0" * 64)
    with pytest.raises(ArtifactError, match="made from another bundle"):
        stage_bundle(exported.path, str(tmp_path / "served"), 2, evaluation=tmp_path / "other")
    assert not (tmp_path / "served" / "2").exists()
