"""An artifact is whole or absent, says what it was made from, and any change to it is found."""

import json
import os
from pathlib import Path

import pytest

from components.common.artifacts.folder import MANIFEST, SCHEMA, new_artifact, open_artifact, sha256_file
from components.common.runtime.errors import ArtifactError, ConfigError


def link(folder, target):
    (folder.parent / "outside").write_text("hello")
    (folder / "deep" / "a.txt").unlink()
    (folder / "deep" / "a.txt").symlink_to(target)


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
        (lambda p: (p / MANIFEST).unlink(), "not a split artifact, it has no artifact.json"),
        (lambda p: (p / MANIFEST).write_text('{"schema": "other/9"}'), "expected schema"),
        (lambda p: (p / "deep" / "more").mkdir(), "folder deep/more is not part of the artifact"),
        (lambda p: (p / "ex\x1b[31mtra").write_text("x"), r"'ex\\x1b\[31mtra' is not part of the artifact"),
        (lambda p: link(p, Path("/etc/passwd")), "'deep/a.txt' is a link, expected files only"),
        (lambda p: link(p, p.parent / "outside"), "'deep/a.txt' is a link, expected files only"),
        (lambda p: (p / "folder").symlink_to("/etc"), "'folder' is a link"),
        (lambda p: os.mkfifo(p / "pipe"), "'pipe' is neither a file nor a folder"),
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


def test_an_artifact_of_any_kind_is_opened_where_none_is_asked_for(tmp_path):
    assert open_artifact(make(tmp_path / "x").path).kind == "split"
    (tmp_path / "x" / "extra.txt").write_text("not listed")
    with pytest.raises(ArtifactError, match=r"extra\.txt is not part of the artifact"):
        open_artifact(tmp_path / "x")
    with pytest.raises(ArtifactError, match="no such folder; expected an artifact made by lesionflow"):
        open_artifact(tmp_path / "nowhere")


def test_a_folder_that_tensorflow_leaves_empty_is_no_addition(tmp_path):
    make(tmp_path / "x")
    (tmp_path / "x" / "deep" / "assets").mkdir()
    open_artifact(tmp_path / "x", "split")


GOOD = {"schema": SCHEMA, "kind": "split", "made_from": {}, "files": {}}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": ["split"]}, "kind: Input should be a valid string"),
        ({"kind": ""}, "kind: String should match pattern"),
        ({"made_from": None}, "made_from: Input should be a valid dictionary"),
        ({"made_from": {"index": 5}}, "made_from.index: Input should be a valid string, received 5"),
        ({"files": []}, "files: Input should be a valid dictionary"),
        ({"files": {"a.txt": "abc"}}, "files.a.txt: String should match pattern"),
        ({"files": {"/etc/passwd": "0" * 64}}, "files: '/etc/passwd' is not the name of a file inside the artifact"),
        ({"files": {"../a": "0" * 64}}, "files: '../a' is not the name of a file inside"),
        ({"files": {"a/../../b": "0" * 64}}, "files: 'a/../../b' is not the name of a file inside"),
        ({"files": {"a//b": "0" * 64}}, "files: 'a//b' is not the name of a file inside"),
        ({"files": {"": "0" * 64}}, "files: '' is not the name of a file inside"),
        ({"files": {"a\nb": "0" * 64}}, "files: 'a\\\\nb' is not the name of a file inside"),
    ],
)
@pytest.mark.parametrize("verify", [True, False])
def test_a_damaged_artifact_json_is_refused_with_file_and_field(tmp_path, change, words, verify):
    make(tmp_path / "x")
    (tmp_path / "x" / MANIFEST).write_text(json.dumps(GOOD | change))
    for call in (lambda: open_artifact(tmp_path / "x", "split", verify=verify), lambda: make(tmp_path / "x")):
        with pytest.raises(ArtifactError, match=f"artifact.json: {words}") as caught:
            call()
        assert len(str(caught.value).splitlines()) == 1


def test_missing_fields_are_named(tmp_path):
    make(tmp_path / "x")
    (tmp_path / "x" / MANIFEST).write_text(json.dumps({"schema": SCHEMA, "kind": "split"}))
    with pytest.raises(ArtifactError, match=r"artifact.json: made_from: missing; make it again"):
        open_artifact(tmp_path / "x", "split")


def test_a_link_is_not_taken_into_a_new_artifact(tmp_path):
    with pytest.raises(ArtifactError, match="'a' is a link"), new_artifact(tmp_path / "x", "split", {}) as folder:
        (folder / "a").symlink_to("/etc/passwd")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", "."])
def test_the_current_folder_can_be_the_artifact(tmp_path, monkeypatch, name):
    make(tmp_path / "x", "old")
    monkeypatch.chdir(tmp_path / "x")
    make(Path(name), "new")
    assert (tmp_path / "x" / "deep" / "a.txt").read_text() == "new"


def test_an_artifact_can_be_read_while_another_is_being_made_inside_its_folder(tmp_path, monkeypatch):
    make(tmp_path / "x", "old")
    monkeypatch.chdir(tmp_path / "x")
    with new_artifact(tmp_path / "x", "split", {}) as folder:
        (folder / "a").write_text("half")
        assert set(open_artifact(tmp_path / "x", "split").files) == {"deep/a.txt"}


def test_a_name_that_is_too_long_is_one_line(tmp_path):
    with pytest.raises(ConfigError, match="File name too long"):
        make(tmp_path / ("x" * 300))
