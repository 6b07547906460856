"""New content is whole or absent, and killed processes leave nothing that stays."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from components.common.artifacts.atomic import replacing


def make(out, text):
    with replacing(out) as folder:
        (folder / "a.txt").write_text(text)


def names(folder):
    return sorted(p.name for p in folder.iterdir())


KILLED = """
    import os, signal, sys
    from pathlib import Path
    from components.common.artifacts.atomic import replacing
    left = int(sys.argv[2])

    def die(event, arguments):
        global left
        if event == "os.rename":
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(die)
    with replacing(Path(sys.argv[1])) as folder:
        (folder / "a.txt").write_text("new")
"""


def killed_at_rename(out, number):
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(KILLED), out, str(number)], check=False)
    return done.returncode != 0


def test_a_process_killed_before_any_of_its_renames_costs_neither_the_old_nor_the_next(tmp_path):
    out = tmp_path / "out[1]*"
    for number in range(2):
        make(out, "old")
        assert killed_at_rename(out, number)
        assert len(names(tmp_path)) > 1 or not out.exists()
        with pytest.raises(RuntimeError), replacing(out):  # the next maker fails too, but clears up
            raise RuntimeError
        assert (out / "a.txt").read_text() == "old"
        assert [name for name in names(tmp_path) if name.endswith(".partial")] == []
    assert not killed_at_rename(out, 2)
    assert (out / "a.txt").read_text() == "new"


def test_a_workplace_in_use_is_left_alone(tmp_path):
    out = tmp_path / "out"
    with replacing(out) as slow:
        (slow / "a.txt").write_text("slow")
        make(out, "quick")
        assert (out / "a.txt").read_text() == "quick"
        assert (slow / "a.txt").read_text() == "slow"
    assert (out / "a.txt").read_text() == "slow"
    assert names(tmp_path) == ["out"]


def test_workplaces_of_other_names_are_left_alone(tmp_path):
    (tmp_path / ".other.1-ab.partial").mkdir()
    (tmp_path / ".outer.1-ab.partial").mkdir()
    make(tmp_path / "out", "x")
    assert names(tmp_path) == [".other.1-ab.partial", ".outer.1-ab.partial", "out"]


def test_content_that_cannot_be_put_in_place_gives_the_old_back(tmp_path, monkeypatch):
    out = tmp_path / "out"
    make(out, "old")
    real = Path.rename

    def rename(self, target):
        if self.name == "new":
            raise OSError("no space left on device")
        return real(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(OSError, match="no space left"):
        make(out, "new")
    assert (out / "a.txt").read_text() == "old"
    assert names(tmp_path) == ["out"]
