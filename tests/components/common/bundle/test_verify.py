"""Bundles that were edited, mixed up, or carry what does not belong: refused before anything is loaded."""

import json
import shutil

import pytest
import tensorflow as tf

from components.common.artifacts.folder import new_artifact
from components.common.bundle.load import load_bundle
from components.common.bundle.verify import verify_bundle
from components.common.runtime.errors import ArtifactError


@pytest.fixture
def copy(exported, tmp_path):
    return shutil.copytree(exported.path, tmp_path / "bundle")


def signed_again(source, out, **replaced):
    """A bundle whose hashes are right again after an edit: what somebody with intent would make."""
    with new_artifact(out, "bundle", {}) as folder:
        shutil.copytree(source, folder, dirs_exist_ok=True)
        (folder / "artifact.json").unlink()
        for name, content in replaced.items():
            data = json.dumps(content).encode() if isinstance(content, dict) else content
            (folder / name.replace("__", ".")).write_bytes(data)
    return out


def test_a_good_bundle_is_described(exported, export_inputs):
    known = verify_bundle(exported.path)
    assert known.policy_id == export_inputs.rule.policy_id
    assert known.logit_difference < 1e-4
    assert verify_bundle(exported.path, digest=known.digest.upper(), load=False).logit_difference is None


@pytest.mark.parametrize("name", ["b[1]", "b*?", "back\\slash", "{a,b}", "spaced out", "é$#'"])
def test_a_path_is_not_a_pattern(name, exported, tmp_path):
    (tmp_path / name).mkdir()
    path = shutil.copytree(exported.path, tmp_path / name / name)
    assert verify_bundle(path).logit_difference < 1e-4


def test_a_replaced_bundle_is_found_by_its_digest(exported):
    with pytest.raises(ArtifactError, match="this is another bundle"):
        verify_bundle(exported.path, digest="0" * 64)


def test_unsigned_edited_and_incomplete_bundles_are_refused(copy):
    (copy / "labels.json").write_text("{}")
    with pytest.raises(ArtifactError, match=r"labels\.json: sha256 is"):
        load_bundle(copy)
    (copy / "labels.json").unlink()
    with pytest.raises(ArtifactError, match=r"labels\.json: missing"):
        verify_bundle(copy)
    (copy / "artifact.json").unlink()
    with pytest.raises(ArtifactError, match=r"not a bundle artifact, it has no artifact\.json"):
        load_bundle(copy)


def test_a_file_that_was_added_is_refused(copy):
    (copy / "saved_model" / "run.sh").write_text("#!/bin/sh\n")
    with pytest.raises(ArtifactError, match=r"run\.sh is not part of the artifact"):
        verify_bundle(copy)


def test_an_edited_policy_is_refused_although_the_hashes_are_right(copy, tmp_path):
    record = json.loads((copy / "decision_policy.json").read_text())
    record["threshold_logit"] = -99.0
    path = signed_again(copy, tmp_path / "edited", decision_policy__json=record)
    with pytest.raises(ArtifactError, match="edited after"):
        load_bundle(path)


def test_a_policy_of_another_model_is_refused(copy, export_inputs, kit, tmp_path):
    kit.write_policy(tmp_path / "policy", export_inputs.model, 1.0)
    other = (tmp_path / "policy" / "decision_policy.json").read_bytes()
    path = signed_again(copy, tmp_path / "mixed", decision_policy__json=other)
    with pytest.raises(ArtifactError, match="the graph was built with"):
        load_bundle(path)


def test_another_runtime_that_computes_something_else_is_found(copy, tmp_path):
    record = json.loads((copy / "selftest.json").read_text())
    record["logit"] += 0.01
    path = signed_again(copy, tmp_path / "drifted", selftest__json=record)
    with pytest.raises(ArtifactError, match="this runtime is not fit to serve it"):
        verify_bundle(path)


def test_a_graph_that_reads_files_is_never_loaded(copy, tmp_path, monkeypatch):
    function = tf.function(lambda name: {"content": tf.io.read_file(name)}, [tf.TensorSpec([], tf.string, "name")])
    tf.saved_model.save(tf.Module(), str(tmp_path / "evil"), function.get_concrete_function())
    (copy / "saved_model" / "saved_model.pb").write_bytes((tmp_path / "evil" / "saved_model.pb").read_bytes())
    path = signed_again(copy, tmp_path / "signed")
    monkeypatch.setattr(tf.saved_model, "load", lambda *_: pytest.fail("it was loaded"))
    with pytest.raises(ArtifactError, match="ReadFile"):
        load_bundle(path)


def test_a_custom_operation_is_a_clear_error(copy, tmp_path):
    pb = (copy / "saved_model" / "saved_model.pb").read_bytes()
    assert pb.count(b"IgnoreErrorsDataset") > 0
    (copy / "saved_model" / "saved_model.pb").write_bytes(pb.replace(b"IgnoreErrorsDataset", b"IgnoreErrorsDatazet"))
    path = signed_again(copy, tmp_path / "custom")
    with pytest.raises(ArtifactError, match=r"holds IgnoreErrorsDatazet, which bundles are not made of"):
        load_bundle(path)
