"""`lesionflow run` with members: one after the other, killed in the middle, going on where it was."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from components.common.artifacts.folder import open_artifact
from components.common.artifacts.model import open_model

MEMBERS = ("--set", "members=[{seed: 1}, {seed: 2, epochs: 6}]")


@pytest.fixture(scope="module")
def killed_and_repeated(sample, lesionflow, small, tmp_path_factory):
    """A run whose second member is killed after its first epoch, and the same command again."""
    out = tmp_path_factory.mktemp("members") / "results"
    flags = ["--metadata", "metadata.csv", "--images", "images", "--out", str(out), *small, *MEMBERS]
    command = [Path(sys.executable).with_name("lesionflow"), "run", *flags]
    process = subprocess.Popen(command, cwd=sample, stdout=subprocess.PIPE, text=True, start_new_session=True)
    while len(list(out.glob(".steps/checkpoints/members/*/resume.ckpt"))) < 2:
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    done = lesionflow("run", *flags, cwd=sample)
    assert done.returncode == 0, done.stdout + done.stderr
    return out, done.stdout


def test_a_finished_member_is_reused_and_a_killed_one_resumes(killed_and_repeated):
    out, shown = killed_and_repeated
    states = dict(re.findall(r"^(train [^\n]*?|plan|combine) +(done|reused) ", shown, re.MULTILINE))
    assert states["train seed 1"] == "reused"
    assert states["train epochs 6, seed 2"] == states["combine"] == "done"
    assert re.search(r"resuming from epoch [1-5], step 0", (out / "run.log").read_text())
    assert not (out / ".steps" / "checkpoints").exists()


def test_the_shipped_model_is_the_mean_of_the_members_that_are_kept_beside_it(
    killed_and_repeated, lesionflow, tmp_path
):
    out, shown = killed_and_repeated
    assert "mean of 2 members" in shown
    members = [str(out / "members" / str(number)) for number in range(2)]
    assert [open_model(Path(path)).training_config["epochs"] for path in members] == [2, 6]
    done = lesionflow("ensemble", *members, "--out", "again", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert open_artifact(tmp_path / "again", "model").digest == open_artifact(out / "train", "model").digest
    assert json.loads((out / "summary.json").read_text())["model"]["members"] == 2


def test_another_member_trains_alone_and_the_best_can_be_shipped(killed_and_repeated, sample, lesionflow, small):
    out, _ = killed_and_repeated
    flags = ["--metadata", "metadata.csv", "--images", "images", "--out", str(out), *small]
    more = "members=[{seed: 1}, {epochs: 6, seed: 2}, {seed: 3}]"
    done = lesionflow("run", *flags, "--set", more, "--set", "combine=best", cwd=sample)
    assert done.returncode == 0, done.stdout + done.stderr
    states = dict(re.findall(r"^(train [^\n]*?) +(done|reused) ", done.stdout, re.MULTILINE))
    assert states == {"train seed 1": "reused", "train epochs 6, seed 2": "reused", "train seed 3": "done"}
    best = open_model(out / "train")
    assert len(best.selection["members"]) == 3
    assert best.sha256("model.keras") == best.selection["members"][best.selection["chosen"]]["model_sha256"]
