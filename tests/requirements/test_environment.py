"""An environment beside `.venv` is made once per lock, whole or not at all, from pinned hashes only."""

import importlib.util
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "requirements" / "environment.py"


@pytest.fixture
def maker(tmp_path, monkeypatch):
    """The script as a module, over a folder of locks with one small package in it."""
    spec = importlib.util.spec_from_file_location("environment", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (pinned,) = re.findall(r"^editables==(?:.*\\\n)+.*\n", (SCRIPT.parent / "dev.txt").read_text(), re.MULTILINE)
    (tmp_path / "small.txt").write_text(pinned)
    monkeypatch.setattr(module, "LOCKS", tmp_path)
    return module


def test_it_is_made_once_even_when_two_ask_at_once(maker, tmp_path):
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: maker.python_of("small", tmp_path / "envs"), range(2))
    assert first == second
    subprocess.run([first, "-c", "import editables"], check=True)
    made = (first.parents[1] / ".complete").stat().st_mtime_ns
    assert maker.python_of("small", tmp_path / "envs") == first
    assert (first.parents[1] / ".complete").stat().st_mtime_ns == made


def test_another_lock_makes_it_anew_and_the_old_one_goes(maker, tmp_path):
    old = maker.python_of("small", tmp_path / "envs")
    (tmp_path / "small.txt").write_text("# changed\n" + (tmp_path / "small.txt").read_text())
    new = maker.python_of("small", tmp_path / "envs")
    assert new != old
    assert new.exists()
    assert not old.exists()


def test_a_half_made_one_is_not_used(maker, tmp_path):
    python = maker.python_of("small", tmp_path / "envs")
    (python.parents[1] / ".complete").unlink()
    (leftover := python.parents[1] / "leftover").touch()
    assert maker.python_of("small", tmp_path / "envs") == python
    assert not leftover.exists()


def test_a_package_whose_hash_differs_is_refused(maker, tmp_path):
    lock = tmp_path / "small.txt"
    lock.write_text(re.sub(r"sha256:[0-9a-f]{64}", "sha256:" + "0" * 64, lock.read_text()))
    with pytest.raises(RuntimeError, match=r"small-\w+ could not be made(?s:.*)[Hh]ash"):
        maker.python_of("small", tmp_path / "envs")


def test_an_unknown_name_lists_the_known_ones():
    done = subprocess.run([sys.executable, SCRIPT, "chekov"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: no lock requirements/chekov.txt; there are checkov,")
