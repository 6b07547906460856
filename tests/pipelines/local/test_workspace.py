"""The folder of results is held by one run at a time, and is the old run or the new one after a kill at any moment."""

import subprocess
import sys
from pathlib import Path

import pytest

from components.common.runtime.errors import ConfigError
from pipelines.local.workspace import STEPS_FOLDER, check_out, held, keep_failure, publish

NAMES = ("evaluate", "ingest", "run.json", "summary.json")


def results_of(steps, run):
    """A complete folder of results, with the name of its run in every file."""
    folder = steps / "results"
    for name in NAMES:
        path = folder / name if name.endswith(".json") else folder / name / "artifact.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(run)
    return folder


def runs_in(out):
    """The runs whose files are in `out`."""
    files = [path for name in NAMES for path in ((out / name).rglob("*") if (out / name).is_dir() else [out / name])]
    return {path.read_text() for path in files if path.is_file()}


def run_once(out, run):
    with held(out) as steps:
        (steps / "cache").mkdir(exist_ok=True)
        (steps / "cache" / "a.json").write_text(run)
        publish(results_of(steps, run), out, steps)


def test_results_replace_earlier_ones_and_the_steps_stay(tmp_path):
    out = tmp_path / "out"
    for run in ("first", "second"):
        run_once(out, run)
        assert runs_in(out) == {run}
        assert {path.name for path in out.iterdir()} == {*NAMES, STEPS_FOLDER}
    assert (out / STEPS_FOLDER / "cache" / "a.json").read_text() == "second"
    assert list(tmp_path.iterdir()) == [out]


def test_the_current_folder_and_files_of_others_stay(tmp_path, monkeypatch):
    out = tmp_path / "out"
    run_once(out, "first")
    (out / "notes.txt").write_text("mine")
    run_once(out, "second")
    assert (out / "notes.txt").read_text() == "mine"
    (out / "notes.txt").unlink()
    monkeypatch.chdir(out)
    inode = out.stat().st_ino
    run_once(out, "third")
    assert out.stat().st_ino == inode
    assert runs_in(out) == {"third"}


KILLED_AT = """
import os, sys
from pathlib import Path
import pipelines.local.workspace as workspace
sys.path.insert(0, sys.argv[4])
from test_workspace import run_once
left = int(sys.argv[2])
def counted(real):
    def rename(*arguments):
        global left
        if left == 0:
            os._exit(9)  # as kill -9: no finally, no atexit
        left -= 1
        return real(*arguments)
    return rename
Path.rename = counted(Path.rename)
workspace.exchange = counted(workspace.exchange)
if sys.argv[3] == "in place":
    workspace._exchanged = lambda *arguments: False
run_once(Path(sys.argv[1]), "second")
os._exit(0)
"""


@pytest.mark.parametrize("way", ["exchanged", "in place"])
def test_a_kill_at_any_rename_leaves_one_run_and_the_next_one_starts(tmp_path, way):
    for moment in range(20):
        out = tmp_path / f"{way}{moment}"
        run_once(out, "first")
        arguments = [str(out), str(moment), way, str(Path(__file__).parent)]
        code = subprocess.run([sys.executable, "-c", KILLED_AT, *arguments], check=False).returncode
        if way == "exchanged":  # at any moment, also before anybody has looked
            assert len(runs_in(out)) == 1, moment
        check_out(out)
        with held(out) as steps:
            assert len(runs_in(out)) == 1, moment
            assert (steps / "cache" / "a.json").is_file()
        assert list(tmp_path.glob(".*")) == []
        if code == 0:
            assert runs_in(out) == {"second"}
            assert moment >= 3
            return
    raise AssertionError("the run was killed every time")


HOLDER = """
import sys
from pathlib import Path
from pipelines.local.workspace import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_run_is_refused_while_the_first_one_lives(tmp_path):
    out = tmp_path / "out"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(out)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(ConfigError, match=r"--out: .*out is in use by another run"), held(out):
        pass
    assert (out / ".steps" / "lock").is_file(), "the refused run took away the folder of the one that lives"
    with pytest.raises(ConfigError, match=r"--out: .*out is in use by another run"), held(out):
        pass
    holder.kill()
    holder.communicate()
    with held(out):
        pass


def test_fresh_never_forgets_how_often_the_test_set_was_opened(tmp_path):
    out = tmp_path / "out"
    with held(out) as steps:
        (steps / "test_ledger.jsonl").write_text("an opening")
        (steps / "cache").mkdir()
        (steps / "cache" / "k.json").write_text("{}")
    with held(out, fresh=True) as steps:
        assert (steps / "test_ledger.jsonl").read_text() == "an opening"
        assert not (steps / "cache").exists()
        (steps / "cache").mkdir()
        (steps / "cache" / "k.json").write_text("{}")


def test_fresh_forgets_the_steps(tmp_path):
    out = tmp_path / "out"
    run_once(out, "first")
    with held(out, fresh=True) as steps:
        assert not (steps / "cache").exists()
    assert runs_in(out) == {"first"}


def test_a_run_in_which_nothing_was_kept_leaves_nothing(tmp_path):
    with held(tmp_path / "deep" / "out") as steps:
        (steps / "run").mkdir()
    assert list(tmp_path.iterdir()) == []


def test_a_failure_stays_beside_the_earlier_results(tmp_path):
    out = tmp_path / "out"
    run_once(out, "first")
    with held(out) as steps:
        keep_failure(results_of(steps, "second"), out)
    assert runs_in(out) == {"first"}
    assert (out / "failed" / "run.json").read_text() == "second"
    run_once(out, "third")
    assert not (out / "failed").exists()


def test_foreign_folders_and_files_are_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(ConfigError, match="holds files that no run has made"):
        check_out(tmp_path)
    with pytest.raises(ConfigError, match="is a file"):
        check_out(tmp_path / "thesis.tex")


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file" / "out", tmp_path / ("x" * 300)):
        with pytest.raises(ConfigError, match="--out: ") as caught, held(out):
            pass
        assert "\n" not in str(caught.value)
