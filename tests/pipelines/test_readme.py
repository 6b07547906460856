"""The README names every command, every make target it shows exists, and the pictures are of what is there."""

import argparse
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.cli.main import build_parser

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands(parser, prefix=()):
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                yield (*prefix, name), inner
                yield from commands(inner, (*prefix, name))


def test_every_command_is_documented():
    leaves = {" ".join(path) for path, inner in commands(build_parser()) if not list(commands(inner))}
    documented = README + "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs").glob("*/*.md"))
    assert leaves
    assert sorted(leaf for leaf in leaves if f"lesionflow {leaf}" not in documented) == []


def test_every_make_target_in_the_readme_exists():
    shown = set(re.findall(r"^make ([a-z0-9-]+)|`make ([a-z0-9-]+)`", README, re.MULTILINE))
    shown = {name for pair in shown for name in pair if name}
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert shown
    assert shown <= targets


def test_every_make_target_has_a_line_of_help():
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {name for name in targets if not re.search(rf"^  {name} ", listed, re.MULTILINE)} == set()


@pytest.mark.parametrize("name", ["dag", "kubeflow", "house"])
def test_the_pictures_are_of_this_dag_and_of_these_folders(tmp_path, name):
    made = tmp_path / f"{name}.svg"
    subprocess.run([sys.executable, f"docs/draw_{name}.py", "--out", str(made)], cwd=ROOT, check=True)
    assert made.read_text() == (ROOT / "docs" / "images" / made.name).read_text()
