"""Artifacts fetched from an object store by the list of files they carry."""

import pytest

from components.common.artifacts.folder import new_artifact, open_artifact, open_files
from components.common.artifacts.remote import local_artifact
from components.common.runtime.errors import ArtifactError
from components.common.storage import store


@pytest.fixture
def artifact(tmp_path):
    out = tmp_path / "bundle"
    with new_artifact(out, "bundle", {"model": "5" * 64}) as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "graph.pb").write_bytes(b"graph")
        (folder / "policy.json").write_text("{}")
    return out


def test_a_local_one_is_taken_as_it_is(artifact, tmp_path):
    assert local_artifact(str(artifact), "bundle", tmp_path / "scratch") == artifact
    assert local_artifact(f"file://{artifact}", "bundle", tmp_path / "scratch") == artifact
    assert not (tmp_path / "scratch").exists()


def test_one_in_a_bucket_is_the_same_when_it_arrives(artifact, gcs, tmp_path):
    store.upload(artifact, gcs.uri("there/bundle"))
    gcs.put("there/bundle/notes.txt", b"not part of it")
    fetched = local_artifact(gcs.uri("there/bundle"), "bundle", tmp_path / "scratch")
    assert open_artifact(fetched, "bundle").digest == open_artifact(artifact, "bundle").digest


def test_of_one_in_a_bucket_only_the_files_that_are_needed_are_fetched_and_hashed(artifact, gcs, tmp_path):
    store.upload(artifact, gcs.uri("there/bundle"))
    fetched = local_artifact(gcs.uri("there/bundle"), "bundle", tmp_path / "scratch", ["policy.json", "absent.npz"])
    assert sorted(one.name for one in fetched.rglob("*")) == ["artifact.json", "policy.json"]
    part = open_files(fetched, "bundle", ["policy.json", "absent.npz"])
    assert set(part.files) == {"policy.json"} and part.digest == open_artifact(artifact, "bundle").digest
    (fetched / "policy.json").write_text("{ }")
    with pytest.raises(ArtifactError, match=r"policy\.json: sha256 is .* fetch it again"):
        open_files(fetched, "bundle", ["policy.json"])
    with pytest.raises(ArtifactError, match=r"graph\.pb: missing; the artifact is incomplete"):
        open_files(fetched, "bundle", ["inner/graph.pb"])


def test_none_and_another_kind_and_an_incomplete_one_are_named(artifact, gcs, tmp_path):
    with pytest.raises(ArtifactError, match=r"nowhere/artifact\.json: no such object; expected a whole artifact"):
        local_artifact(gcs.uri("nowhere"), "bundle", tmp_path / "a")
    store.upload(artifact, gcs.uri("kind"))
    with pytest.raises(ArtifactError, match="this is a bundle artifact, expected an evaluation artifact"):
        local_artifact(gcs.uri("kind"), "evaluation", tmp_path / "b")
    gcs.put("part/artifact.json", (artifact / "artifact.json").read_bytes())
    with pytest.raises(ArtifactError, match="no such object"):
        local_artifact(gcs.uri("part"), "bundle", tmp_path / "c")
