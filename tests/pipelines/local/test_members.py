"""`lesionflow run` with members: one after the other, killed in the middle, going on where it was."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from components.common.artifacts.folder import open_artifact
from components.common.artifacts.model import open_model

TWO = "members=[{seed: 1}, {seed: 2, epochs: 12}]"
THREE = "members=[{seed: 1}, {epochs: 12, seed: 2}, {seed: 3}]"


def wait_for_the_second_member_to_finish_an_epoch(process, out):
    """Each member saves once before its first step, then after every epoch, into a folder of its own."""
    first_saved = None
    while True:
        saved = sorted(path.stat().st_mtime_ns for path in out.glob(".steps/checkpoints/*/resume.ckpt"))
        if len(saved) == 2:
            first_saved = first_saved or saved[1]
            if saved[1] > first_saved:
                return
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.02)


@pytest.fixture(scope="module")
def killed_and_extended(sample, lesionflow, small, tmp_path_factory):
    """A run whose second member is killed in the middle, and the same command with one member more."""
    out = tmp_path_factory.mktemp("members") / "results"
    flags = ["--metadata", "metadata.csv", "--images", "images", "--out", str(out), *small, "--set"]
    command = [Path(sys.executable).with_name("lesionflow"), "run", *flags, TWO]
    process = subprocess.Popen(command, cwd=sample, stdout=subprocess.PIPE, text=True)
    wait_for_the_second_member_to_finish_an_epoch(process, out)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done = lesionflow("run", *flags, THREE, cwd=sample)
    assert done.returncode == 0, done.stdout + done.stderr
    return out, done.stdout


def test_a_finished_member_is_reused_a_killed_one_resumes_and_a_new_one_is_trained(killed_and_extended):
    out, shown = killed_and_extended
    states = dict(re.findall(r"^(train [^\n]*?|plan|combine) +(done|reused) ", shown, re.MULTILINE))
    assert states == {
        "plan": "done",
        "train seed 1": "reused",
        "train epochs 12, seed 2": "done",
        "train seed 3": "done",
        "combine": "done",
    }
    resumed = re.findall(r"resuming (?:at the start|after step \d+) of epoch (\d+)", (out / "run.log").read_text())
    assert len(resumed) == 1
    assert int(resumed[0]) >= 2
    assert not (out / ".steps" / "checkpoints").exists()


def test_members_of_a_finished_run_are_reused(killed_and_extended, sample, lesionflow, small):
    out, _ = killed_and_extended
    flags = ["--metadata", "metadata.csv", "--images", "images", "--out", str(out), *small, "--set"]
    again = lesionflow("run", *flags, THREE, cwd=sample)
    assert again.returncode == 0, again.stdout + again.stderr
    states = re.findall(r"^(?:train [^\n]*?|combine) +(done|reused) ", again.stdout, re.MULTILINE)
    assert states == ["reused"] * 4


def test_the_shipped_model_is_the_mean_of_the_members_that_are_kept_beside_it(
    killed_and_extended, lesionflow, tmp_path
):
    out, shown = killed_and_extended
    assert "mean of 3 members" in shown
    members = [str(out / "members" / str(number)) for number in range(3)]
    assert [open_model(Path(path)).training_config["epochs"] for path in members] == [2, 12, 2]
    done = lesionflow("ensemble", *members, "--out", "again", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert open_artifact(tmp_path / "again", "model").digest == open_artifact(out / "train", "model").digest
    assert json.loads((out / "summary.json").read_text())["model"]["members"] == 3
