"""`lesionflow run`: stable layout, honest exit code, a failed step's own error last, nothing lost."""

import json
import re
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from components.common.artifacts.folder import open_artifact
from pipelines.cluster_file import STEPS
from pipelines.local.run import _workspace, check_out

KINDS = {
    "ingest": "index", "split": "split", "records": "records", "train": "model", "calibrate": "policy",
    "export": "bundle", "evaluate": "evaluation",
}  # fmt: skip


def test_a_good_run_exits_with_0_and_shows_each_step_once_as_done(finished):
    assert finished.code == 0, finished.stdout + finished.stderr
    for step in STEPS:
        assert len(re.findall(rf"^{step} +done +[0-9.]+ s", finished.stdout, re.MULTILINE)) == 1, step


def test_the_summary_is_printed_and_written(finished):
    for line in ("images", "split", "ROC-AUC", "AP", "threshold", "sensitivity", "calibration slope"):
        assert re.search(rf"^ *{line}", finished.stdout, re.MULTILINE), line
    assert f"report: {finished.out / 'report.html'}" in finished.stdout
    summary = json.loads((finished.out / "summary.json").read_text())
    metrics = json.loads((finished.out / "evaluate" / "metrics.json").read_text())
    assert summary["test"]["roc_auc"] == metrics["roc_auc"]
    assert summary["images"]["lost"] == 0
    assert sum(summary["split"]["found"].values()) == summary["images"]["usable"]


@pytest.mark.parametrize("step", KINDS)
def test_each_step_has_its_folder_and_the_chain_of_hashes_holds(finished, step):
    artifact = open_artifact(finished.out / step, KINDS[step])
    known = {open_artifact(finished.out / name, kind).digest for name, kind in KINDS.items()}
    if step != "ingest":
        assert known & set(artifact.made_from.values()), artifact.made_from


def test_nothing_else_is_left_in_the_folder(finished):
    assert {path.name for path in finished.out.iterdir()} == {
        *KINDS, "summary.json", "report.html", "run.json", "run.log", "lesionflow.yaml",
    }  # fmt: skip


def test_a_failed_step_has_the_last_word_and_the_earlier_run_stays(sample, tmp_path, finished, lesionflow, small):
    out = tmp_path / "results"
    shutil.copytree(finished.out, out)
    broken = tmp_path / "images"
    shutil.copytree(sample / "images", broken)
    for path in sorted(broken.iterdir())[::5]:
        path.unlink()
    before = (out / "summary.json").read_bytes()
    done = lesionflow(
        "run", "--metadata", str(sample / "metadata.csv"), "--images", str(broken), "--out", str(out), *small,
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ingest: ")
    assert "max_lost_pct" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert (out / "summary.json").read_bytes() == before
    assert (out / "failed" / "run.log").is_file()


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (("--set", "epoch=3"), "unknown parameter 'epoch': did you mean 'epochs'?"),
        (("--set", "epochs=three"), "epochs: received 'three'; allowed: an integer"),
        (("--preset", "smaple"), "--preset: received 'smaple'; did you mean 'sample'?"),
        (("--weights", "no.npz"), "weights: received 'no.npz', no such file"),
        (("--metadata", "no.csv"), "metadata: received 'no.csv', no such file"),
    ],
)
def test_a_bad_parameter_exits_with_2_and_writes_nothing(sample, tmp_path, extra, message, lesionflow):
    out = tmp_path / "results"
    arguments = ["--metadata", "metadata.csv", "--images", "images", "--out", str(out), *extra]
    done = lesionflow("run", *arguments, cwd=sample)
    assert done.returncode == 2
    assert message in done.stderr
    assert not out.exists()


def test_a_folder_with_other_files_is_refused(sample, tmp_path, lesionflow):
    (tmp_path / "thesis.tex").write_text("mine")
    done = lesionflow("run", "--metadata", "metadata.csv", "--images", "images", "--out", str(tmp_path), cwd=sample)
    assert done.returncode == 2
    assert "holds files that are no earlier run's" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def start(sample, out, small, stop, *, after):
    """Starts a run, waits until its log holds `after`, and sends the signal `stop`; returns the process."""
    command = [Path(sys.executable).with_name("lesionflow"), "run", "--metadata", "metadata.csv", "--images", "images"]
    process = subprocess.Popen([*command, "--out", out, *small], cwd=sample, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.startswith(after):
            break
    process.send_signal(stop)
    process.stdout.read()
    process.wait(timeout=60)
    return process


def test_a_terminated_run_leaves_nothing_behind(sample, tmp_path, small):
    process = start(sample, tmp_path / "results", small, signal.SIGTERM, after="ingest     done")
    assert process.returncode == 130
    assert list(tmp_path.iterdir()) == []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # ended meanwhile
            assert str(tmp_path).encode() not in path.read_bytes()


def test_a_killed_run_is_no_obstacle_for_the_next(tmp_path):
    leftover = tmp_path / ".work-999999999"  # no process has this number
    leftover.mkdir()
    (leftover / "run.log").write_text("half")
    check_out(tmp_path)
    with _workspace(tmp_path) as work:
        assert {path.name for path in tmp_path.iterdir()} == {work.name}
