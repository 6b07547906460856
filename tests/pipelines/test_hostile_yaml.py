"""YAML that would run code, or grow without end, is refused by every command that reads YAML: one short line."""

from pathlib import Path

import pytest

from components.ingest.__main__ import main as ingest
from pipelines.cli.main import main

TAG = "{key}: !!python/object/apply:pathlib.Path.touch ['{mark}']\n"
BOMB = "a: &a [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
NOWHERE = ["--host", "http://127.0.0.1:1"]
IMAGES = ["--image-refs", str(Path(__file__).parent / "cluster" / "image_refs.yaml")]
COMMANDS = {
    "compile --cluster": ["compile", "--cluster", "FILE", "--out", "OUT"],
    "compile --image-refs": ["compile", "--image-refs", "FILE", "--out", "OUT"],
    "doctor --cluster": ["doctor", "--cluster", "FILE", *NOWHERE],
    "upload --pipeline": ["upload", "--pipeline", "FILE", *NOWHERE],
    "submit --preset": ["submit", "--cluster", "cpu-only", *IMAGES, "--preset", "FILE", *NOWHERE],
    "run --preset": ["run", "--preset", "FILE", "--metadata", "t.csv", "--images", "i", "--out", "OUT"],
    "ingest --label_policy": ["--label_policy", "FILE", "--metadata", "t.csv", "--images", "i", "--out", "OUT"],
}


def refused(command, text, tmp_path, capsys):
    file, out = tmp_path / "given.yaml", tmp_path / "out"
    file.write_text(text)
    line = [{"FILE": str(file), "OUT": str(out)}.get(word, word) for word in COMMANDS[command]]
    code = ingest(line) if command.startswith("ingest") else main(line)
    said = capsys.readouterr().err
    assert code == 2
    assert len(said) < 8000
    assert not out.exists()
    return [one for one in said.splitlines() if one.startswith("error:")]


@pytest.mark.parametrize("command", COMMANDS)
def test_yaml_with_tags_is_one_line_and_runs_nothing(command, tmp_path, capsys):
    mark = tmp_path / "mark"
    (line,) = refused(command, TAG.format(key="images", mark=mark), tmp_path, capsys)
    assert "could not determine a constructor for the tag" in line
    assert not mark.exists()


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("key", ["images", "labels", "malignant"])
def test_yaml_that_refers_to_itself_a_billion_times_is_refused_in_short(command, key, tmp_path, capsys):
    assert refused(command, f"{BOMB}{key}: *i\n", tmp_path, capsys)


@pytest.mark.parametrize("command", COMMANDS)
def test_yaml_nested_without_end_is_one_line(command, tmp_path, capsys):
    (line,) = refused(command, "images: " + "[" * 3000, tmp_path, capsys)
    assert "nested too deeply" in line


@pytest.mark.parametrize("text", ["3\n---\n4\n", "a: 1\n---\n- platforms\n", ""])
def test_a_file_that_is_no_pipeline_is_one_line(text, tmp_path, capsys):
    assert len(refused("upload --pipeline", text, tmp_path, capsys)) == 1
