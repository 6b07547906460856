"""Completion in a real shell: what a person gets when they press Tab."""

import os
import pty
import subprocess
import sys

import pytest

from pipelines.cli.main import build_parser, main
from pipelines.parameters import option_names, preset_names


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.cli.main", "completion", "bash"], capture_output=True, text=True, check=True
    )
    path = tmp_path_factory.mktemp("completion") / "lesionflow"
    path.write_text(done.stdout)
    return path


def completed(script, *words):
    """The completions of the last word."""
    body = 'source "$1"; shift; COMP_WORDS=(lesionflow "$@"); COMP_CWORD=$#; _shtab_lesionflow; echo "${COMPREPLY[@]}"'
    command = ["bash", "--norc", "-c", body, "bash", str(script), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=script.parent)
    return done.stdout.split()


def test_every_command_is_completed(script):
    commands = build_parser()._subparsers._group_actions[0].choices
    assert set(completed(script, "")) == set(commands)
    assert completed(script, "bundle", "ver") == ["verify"]


def test_flags_presets_parameters_and_clusters_are_completed(script):
    assert completed(script, "run", "--pre") == ["--preset"]
    assert completed(script, "run", "--preset", "ham") == [name for name in preset_names() if name.startswith("ham")]
    assert completed(script, "run", "--set", "epo") == ["epochs="]
    calibrate = [f"{name}=" for name in option_names() if name.startswith("calibrate.")]
    assert completed(script, "submit", "--set", "calibrate.") == calibrate
    assert "gke-t4" in completed(script, "doctor", "--cluster", "gke-")
    assert completed(script, "parameters", "train.drop") == ["train.dropout"]


def test_files_are_completed_where_a_file_is_meant(script):
    (script.parent / "results").mkdir(exist_ok=True)
    assert completed(script, "predict", "res") == ["results"]
    assert completed(script, "run", "--metadata", "lesion") == ["lesionflow"]


def test_names_of_ones_own_are_not_completed(script):
    assert completed(script, "schedule", "add", "tra") == []


def test_tab_works_in_an_interactive_bash(script):
    """Through a terminal: the first word is completed, and no space is put behind a parameter's equals sign."""
    child, terminal = pty.fork()
    if child == 0:
        os.execvpe("bash", ["bash", "--norc", "-i"], {**os.environ, "PS1": "ready> ", "TERM": "dumb"})
    seen = b""

    def until(text):
        nonlocal seen
        while text not in seen:
            seen += os.read(terminal, 4096)
        seen = seen.partition(text)[2]

    until(b"ready> ")
    os.write(terminal, f"source {script}; echo loa''ded\n".encode())
    until(b"loaded")
    os.write(terminal, b"lesionflow pres\t")
    until(b"lesionflow presets ")
    os.write(terminal, b"\x15lesionflow run --set epo\t3")
    until(b"--set epochs=3")
    os.write(terminal, b"\x15exit\n")
    os.waitpid(child, 0)
    os.close(terminal)


def test_there_is_a_script_for_zsh_with_the_same_words(capsys):
    """Its content only: no zsh is among the tools of these tests."""
    assert main(["completion", "zsh"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("#compdef lesionflow")
    assert "gke-t4" in text and "epochs=" in text


def test_without_the_library_the_way_to_it_is_said(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 2
    assert "pip install 'lesionflow[completion]'" in capsys.readouterr().err
