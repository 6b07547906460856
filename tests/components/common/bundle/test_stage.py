"""Copying a bundle to where a model server reads it."""

import os
import shutil
import signal
import subprocess
import sys

import pytest
import tensorflow as tf

from components.common.artifacts.folder import new_artifact, open_artifact
from components.common.bundle.stage import Staged, stage_bundle
from components.common.runtime.errors import ArtifactError, ConfigError
from components.common.storage import store


def test_a_version_is_a_loadable_saved_model_with_its_policy_beside(exported, bundle, kit, tmp_path):
    staged = stage_bundle(exported.path, str(tmp_path / "lesionflow"), 3)
    assert staged == Staged(str(tmp_path / "lesionflow" / "3"), new=True)
    assert [path.name for path in (tmp_path / "lesionflow").iterdir()] == ["3"]
    loaded = tf.saved_model.load(staged.uri)
    answer = loaded.signatures["serving_default"](image_bytes=tf.constant([kit.jpeg(0)]))
    assert float(answer["logit"][0]) == pytest.approx(float(bundle.predict([kit.jpeg(0)]).logit[0]), abs=1e-6)
    policy = tmp_path / "lesionflow" / "3" / "assets.extra" / "decision_policy.json"
    assert policy.read_bytes() == (exported.path / "decision_policy.json").read_bytes()


def content(folder):
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}


def another(exported, out):
    """A bundle with the same model and another label file."""
    with new_artifact(out, "bundle", {}) as folder:
        shutil.copytree(exported.path, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("artifact.json"))
        (folder / "labels.json").write_text((folder / "labels.json").read_text() + " ")
    return out


def test_a_served_version_never_changes(exported, evaluation_of, tmp_path):
    stage_bundle(exported.path, str(tmp_path / "served"), 1)
    before = content(tmp_path / "served")
    assert stage_bundle(exported.path, str(tmp_path / "served"), 1) == Staged(str(tmp_path / "served" / "1"), new=False)
    with pytest.raises(ArtifactError, match="with another bundle; a served version never changes"):
        stage_bundle(another(exported, tmp_path / "other"), str(tmp_path / "served"), 1)
    evaluation = evaluation_of(tmp_path / "evaluation", open_artifact(exported.path, "bundle").digest)
    with pytest.raises(ArtifactError, match="with another card; a served version never changes"):
        stage_bundle(exported.path, str(tmp_path / "served"), 1, evaluation=evaluation)
    assert content(tmp_path / "served") == before


KILLED = """
import os, signal, sys
from pathlib import Path
from components.common.bundle.stage import stage_bundle
from components.common.storage import store
count, upload = int(sys.argv[3]), store.upload
def killed(path, uri):
    global count
    upload(path, uri)
    count -= 1
    if not count:
        os.kill(os.getpid(), signal.SIGKILL)
store.upload = killed
stage_bundle(Path(sys.argv[1]), sys.argv[2], 7)
"""


def staged_until_killed(bundle, target, count):
    command = [sys.executable, "-c", KILLED, str(bundle), target, str(count)]
    assert subprocess.run(command, check=False, env=os.environ).returncode == -signal.SIGKILL


@pytest.mark.parametrize("count", [1, 4, 8])
def test_a_staging_that_was_killed_shows_no_version_and_the_next_one_does(count, exported, tmp_path):
    served = tmp_path / "served"
    staged_until_killed(another(exported, tmp_path / "other"), str(served), count)
    assert not (served / "7").exists()
    assert stage_bundle(exported.path, str(served), 7).new
    assert [path.name for path in served.iterdir()] == ["7"]
    assert (served / "7" / "assets.extra" / "labels.json").read_bytes() == (exported.path / "labels.json").read_bytes()


@pytest.mark.parametrize("kind", ["gcs", "s3"])
def test_in_an_object_store_the_index_comes_last_and_a_killed_staging_is_done_again(kind, exported, tmp_path, request):
    bucket = request.getfixturevalue(kind)
    target = bucket.uri("models/lesionflow")
    staged_until_killed(another(exported, tmp_path / "other"), target, 7)
    assert store.exists(f"{target}/7/assets.extra/labels.json")
    assert not store.exists(f"{target}/7/saved_model.pb")
    assert stage_bundle(exported.path, target, 7) == Staged(f"{target}/7", new=True)
    assert stage_bundle(exported.path, target, 7) == Staged(f"{target}/7", new=False)
    assert store.read_bytes(f"{target}/7/assets.extra/labels.json") == (exported.path / "labels.json").read_bytes()
    with pytest.raises(ArtifactError, match="with another bundle"):
        stage_bundle(tmp_path / "other", target, 7)


def test_what_no_staging_put_there_is_left_alone(exported, tmp_path):
    (tmp_path / "served" / "1" / "variables").mkdir(parents=True)
    (tmp_path / "served" / "1" / "variables" / "notes.txt").write_text("mine")
    with pytest.raises(
        ArtifactError, match=r"notes\.txt: not put there by `lesionflow bundle stage`; remove it or choose another"
    ):
        stage_bundle(exported.path, str(tmp_path / "served"), 1)
    assert (tmp_path / "served" / "1" / "variables" / "notes.txt").read_text() == "mine"


def test_an_edited_bundle_or_an_impossible_version_copies_nothing(exported, tmp_path):
    copy = shutil.copytree(exported.path, tmp_path / "bundle")
    (copy / "labels.json").write_text("{}")
    with pytest.raises(ArtifactError, match="sha256"):
        stage_bundle(copy, str(tmp_path / "served"), 1)
    for version in (0, -1, 2**63):
        with pytest.raises(
            ConfigError, match=f"version: received {version}; allowed: an integer from 1 to {2**63 - 1}"
        ):
            stage_bundle(exported.path, str(tmp_path / "served"), version)
    assert not (tmp_path / "served").exists()


def test_the_staged_card_has_the_metrics_of_the_evaluation(exported, evaluation_of, metrics, tmp_path):
    digest = open_artifact(exported.path, "bundle").digest
    evaluation_of(tmp_path / "evaluation", digest)
    place = stage_bundle(exported.path, str(tmp_path / "served"), 2**63 - 1, evaluation=tmp_path / "evaluation").uri
    card = (tmp_path / "served" / str(2**63 - 1) / "assets.extra" / "model_card.md").read_text()
    assert place.endswith(f"/{2**63 - 1}")
    assert f"| ROC-AUC | {metrics.roc_auc.value:.3f} (" in card
    assert digest in card
    evaluation_of(tmp_path / "other", "0" * 64)
    with pytest.raises(ArtifactError, match="made from another bundle"):
        stage_bundle(exported.path, str(tmp_path / "served"), 2, evaluation=tmp_path / "other")
    assert not (tmp_path / "served" / "2").exists()
