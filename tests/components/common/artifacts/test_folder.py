"""An artifact is whole or absent, says what it was made from, and any change to it is found."""

import json

import pytest

from components.common.artifacts.folder import MANIFEST, dump_json, new_artifact, open_artifact, read_json, sha256_file
from components.common.runtime.errors import ArtifactError


def make(out, text="hello", kind="split"):
    with new_artifact(out, kind, {"index": "ab" * 32}) as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "a.txt").write_text(text)
    return open_artifact(out, kind)


def test_a_finished_artifact_knows_its_files_and_origin(tmp_path):
    artifact = make(tmp_path / "x")
    assert artifact.made_from == {"index": "ab" * 32}
    assert artifact.files == {"deep/a.txt": sha256_file(tmp_path / "x" / "deep" / "a.txt")}


def test_equal_work_gives_an_equal_digest_wherever_it_is_done(tmp_path):
    assert make(tmp_path / "x").digest == make(tmp_path / "y").digest
    assert make(tmp_path / "z", "other").digest != make(tmp_path / "y").digest


def test_an_error_leaves_nothing_behind(tmp_path):
    with pytest.raises(RuntimeError, match="boom"), new_artifact(tmp_path / "x", "split", {}) as folder:
        (folder / "a").write_text("half")
        raise RuntimeError("boom")
    assert list(tmp_path.iterdir()) == []


def test_an_error_keeps_the_artifact_that_was_there(tmp_path):
    before = make(tmp_path / "x").digest
    with pytest.raises(RuntimeError), new_artifact(tmp_path / "x", "split", {}):
        raise RuntimeError
    assert open_artifact(tmp_path / "x", "split").digest == before


def test_an_artifact_of_the_same_kind_is_replaced(tmp_path):
    make(tmp_path / "x", "old")
    make(tmp_path / "x", "new")
    assert (tmp_path / "x" / "deep" / "a.txt").read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize("foreign", ["file", "folder", "other kind"])
def test_what_is_not_ours_is_left_alone(tmp_path, foreign):
    out = tmp_path / "x"
    if foreign == "file":
        out.write_text("mine")
    elif foreign == "folder":
        out.mkdir()
        (out / "thesis.tex").write_text("mine")
    else:
        make(out, kind="model")
    before = sorted(str(p) for p in tmp_path.rglob("*"))
    with pytest.raises(ArtifactError, match=r"choose another --out|this is a model artifact"):
        make(out)
    assert sorted(str(p) for p in tmp_path.rglob("*")) == before


def test_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "x").mkdir()
    make(tmp_path / "x")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda p: (p / "deep/a.txt").write_text("hellp"), "sha256 is"),
        (lambda p: (p / "deep/a.txt").unlink(), "missing; the artifact is incomplete"),
        (lambda p: (p / "extra").write_text("x"), "not part of the artifact"),
        (lambda p: (p / MANIFEST).write_text("{"), "not readable as JSON"),
        (lambda p: (p / MANIFEST).unlink(), "no such file"),
        (lambda p: (p / MANIFEST).write_text('{"schema": "other/9"}'), "expected schema"),
    ],
)
def test_damage_is_named(tmp_path, damage, message):
    make(tmp_path / "x")
    damage(tmp_path / "x")
    with pytest.raises(ArtifactError, match=message):
        open_artifact(tmp_path / "x", "split")


def test_another_kind_and_no_folder_are_named(tmp_path):
    make(tmp_path / "x")
    with pytest.raises(ArtifactError, match="this is a split artifact, expected a model artifact"):
        open_artifact(tmp_path / "x", "model")
    with pytest.raises(ArtifactError, match="no such folder; expected a model artifact"):
        open_artifact(tmp_path / "nowhere", "model")


def test_json_with_a_non_finite_number_is_refused():
    with pytest.raises(ValueError, match="Out of range"):
        dump_json({"auc": float("nan")})


def test_json_of_another_schema_is_refused(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps([1]))
    with pytest.raises(ArtifactError, match="received 'list'"):
        read_json(tmp_path / "a.json", "lesionflow.split/1")
