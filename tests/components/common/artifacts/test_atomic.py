"""New content is whole or absent, wherever the folder is, and killed processes leave nothing that stays."""

import errno
import os
import re
import subprocess
import sys
import textwrap

import pytest

from components.common.artifacts import atomic
from components.common.artifacts.atomic import recover, replacing
from components.common.artifacts.folder import new_artifact, open_artifact
from components.common.runtime.errors import ArtifactError, ConfigError

ENDED_BY_TEST = -9


def make(out, text, *names):
    with replacing(out) as folder:
        for name in names or ("a.txt",):
            (folder / name).write_text(text)


def content(folder):
    return {p.name: p.read_text() for p in sorted(folder.iterdir())}


def names(folder):
    return sorted(p.name for p in folder.iterdir())


KILLED = """
    import os, signal, sys
    from pathlib import Path
    from components.common.artifacts import atomic
    from components.common.artifacts.folder import new_artifact
    out, way, left = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])

    def die(event, arguments):
        global left
        if event == "os.rename" and ".partial" in str(arguments[0]) + str(arguments[1]) and armed:
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    armed = False
    sys.addaudithook(die)
    if way == "inside":
        os.chdir(out)
    if way == "renames":
        atomic.exchange = lambda one, other: False
    with new_artifact(out, "split", {}) as folder:
        (folder / "new.txt").write_text("new")
        (folder / "both.txt").write_text("new")
        armed = True
"""


def killed_at_rename(out, way, number):
    command = [sys.executable, "-c", textwrap.dedent(KILLED), out, way, str(number)]
    return subprocess.run(command, check=False).returncode == ENDED_BY_TEST


@pytest.mark.parametrize(("way", "renames"), [("exchange", 1), ("renames", 4), ("inside", 9)])
def test_after_a_kill_at_any_rename_the_artifact_is_wholly_old_or_wholly_new(tmp_path, way, renames):
    """artifact.json is written by a rename of its own; "inside" moves three entries away and three in."""
    out = tmp_path / "out[1]*"
    seen = []
    for number in range(20):
        with new_artifact(out, "split", {}) as folder:
            (folder / "old.txt").write_text("old")
            (folder / "both.txt").write_text("old")
        if not killed_at_rename(out, way, number):
            break
        files = open_artifact(out, "split").files
        seen.append("old" if set(files) == {"old.txt", "both.txt"} else "new")
        assert set(files) in ({"old.txt", "both.txt"}, {"new.txt", "both.txt"})
        assert (out / "both.txt").read_text() == seen[-1]
        make_again = new_artifact(out, "split", {})
        with make_again as folder:
            (folder / "old.txt").write_text("old")
        assert names(tmp_path) == ["out[1]*"]
        assert names(out) == ["artifact.json", "old.txt"]
    assert len(seen) == renames
    assert seen == sorted(seen, reverse=True)  # old, then from one rename on new
    assert set(open_artifact(out, "split").files) == {"new.txt", "both.txt"}


def test_a_scratch_directory_in_use_is_left_alone(tmp_path):
    out = tmp_path / "out"
    with replacing(out) as slow:
        (slow / "a.txt").write_text("slow")
        make(out, "quick")
        assert content(out) == {"a.txt": "quick"}
        assert content(slow) == {"a.txt": "slow"}
    assert content(out) == {"a.txt": "slow"}
    assert names(tmp_path) == ["out"]


def test_whoever_works_inside_a_folder_keeps_its_scratch_when_the_folder_is_replaced_from_beside(tmp_path, monkeypatch):
    out = tmp_path / "out"
    make(out, "old")
    monkeypatch.chdir(out)
    with replacing(out) as slow:
        assert out in slow.parents
        (slow / "b.txt").write_text("slow")
        monkeypatch.chdir(tmp_path)
        make(out, "quick")
        assert (out / "a.txt").read_text() == "quick"
    assert content(out) == {"b.txt": "slow"}
    assert names(tmp_path) == ["out"]


def test_scratch_directories_of_other_names_are_left_alone(tmp_path):
    (tmp_path / ".other.1-ab.partial").mkdir()
    (tmp_path / ".outer.1-ab.partial").mkdir()
    make(tmp_path / "out", "x")
    assert names(tmp_path) == [".other.1-ab.partial", ".outer.1-ab.partial", "out"]


def test_the_current_folder_is_replaced_inside(tmp_path, monkeypatch):
    (tmp_path / "deep").mkdir()
    make(tmp_path / "deep", "old", "a.txt", "b.txt")
    before = (tmp_path / "deep").stat().st_ino
    monkeypatch.chdir(tmp_path / "deep")
    make(tmp_path / "deep" / "." / "", "new")
    assert content(tmp_path / "deep") == {"a.txt": "new"}
    assert (tmp_path / "deep").stat().st_ino == before


def test_a_mount_point_is_replaced_inside_and_its_lost_and_found_stays(tmp_path, monkeypatch):
    out = tmp_path / "out"
    (out / "lost+found").mkdir(parents=True)
    monkeypatch.setattr(atomic, "_is_mount", lambda path: path == out)
    make(out, "old", "a.txt", "b.txt")
    make(out, "new")
    assert names(out) == ["a.txt", "lost+found"]
    assert (out / "a.txt").read_text() == "new"


def test_a_real_mount_point_is_seen_and_replaced(tmp_path):
    out = tmp_path / "out with space"
    out.mkdir()
    (tmp_path / "volume").mkdir()
    mounted = subprocess.run(["mount", "--bind", tmp_path / "volume", out], check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting needs privileges")
    try:
        make(out, "old", "a.txt", "b.txt")
        make(out, "new")
        assert content(tmp_path / "volume") == {"a.txt": "new"}
    finally:
        subprocess.run(["umount", out], check=True)


def test_a_link_to_a_folder_stays_a_link(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "disk")
    make(tmp_path / "out", "new")
    assert (tmp_path / "out").is_symlink()
    assert content(tmp_path / "disk") == {"a.txt": "new"}


def test_the_longest_name_works_and_a_longer_one_is_refused_before_anything_is_made(tmp_path):
    make(tmp_path / ("x" * 255), "new")
    for name in ("x" * 256, "x/" * 3000):
        with pytest.raises(ConfigError, match=r"cannot be written \(File name too long\); choose another --out"):
            make(tmp_path / name, "new")
    assert names(tmp_path) == ["x" * 255]


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), RuntimeError("UNKNOWN: model.keras; No space left on device")],
)
def test_a_full_file_system_is_one_line_with_folder_and_bytes_and_the_old_content_stays(tmp_path, error):
    out = tmp_path / "out"
    make(out, "old")
    with pytest.raises(ArtifactError) as caught, replacing(out) as folder:
        (folder / "a.txt").write_bytes(bytes(1000))
        raise error
    assert re.fullmatch(
        rf"{out}: no space left on the device of {tmp_path}: more than ([\d,]+) bytes are needed, \1 bytes are free; "
        "make room there, or choose another --out",
        str(caught.value),
    )
    assert caught.value.__cause__ is error
    assert content(out) == {"a.txt": "old"}
    assert names(tmp_path) == ["out"]


def test_a_file_system_that_is_full_or_read_only_refuses_in_one_line(tmp_path):
    out = tmp_path / "small"
    out.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", out], check=False).returncode:
        pytest.skip("mounting needs privileges")
    try:
        make(out, "old")
        full = rf"no space left on the device of {out}: more than ([\d,]+) bytes are needed, \1 bytes are free"
        with pytest.raises(ArtifactError, match=full):
            make(out, "x" * 100_000)
        assert content(out) == {"a.txt": "old"}
        make(out, "y" * 40_000)
        with pytest.raises(ArtifactError, match="about 40,000, as the content it would replace has, bytes are"):
            make(out, "z" * 40_000)
        (out / "a.txt").write_text("old")
        subprocess.run(["mount", "-o", "remount,ro", out], check=True)
        for place in (out, out / "below"):
            with pytest.raises(ConfigError, match=r"cannot be written \(Read-only file system\); choose another --out"):
                make(place, "new")
        assert content(out) == {"a.txt": "old"}
    finally:
        subprocess.run(["umount", out], check=True)


def test_content_that_cannot_be_put_in_place_is_kept_for_the_next_command(tmp_path, monkeypatch):
    out = tmp_path / "out"
    make(out, "old")
    monkeypatch.setattr(atomic, "exchange", lambda one, other: False)
    real = atomic.Path.rename

    def rename(self, target):
        if self == out:
            raise OSError(errno.EBUSY, "Device or resource busy")
        return real(self, target)

    monkeypatch.setattr(atomic.Path, "rename", rename)
    with pytest.raises(ArtifactError, match=r"put in place \(Device or resource busy\); the finished content"):
        make(out, "new")
    assert content(out) == {"a.txt": "old"}
    monkeypatch.undo()
    recover(out)
    assert content(out) == {"a.txt": "new"}
    assert names(tmp_path) == ["out"]
