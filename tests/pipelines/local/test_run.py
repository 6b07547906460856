"""`lesionflow run`: stable layout, honest exit code, a failed step's own error last, nothing lost."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from components.common.artifacts.folder import open_artifact
from pipelines.cluster_file import STEPS

KINDS = {
    "ingest": "index",
    "split": "split",
    "records": "records",
    "train": "model",
    "calibrate": "policy",
    "export": "bundle",
    "evaluate": "evaluation",
}


def test_a_good_run_exits_with_0_and_shows_each_step_once_as_done(finished):
    assert finished.code == 0, finished.stdout + finished.stderr
    for step in STEPS:
        assert len(re.findall(rf"^{step} +done +[0-9.]+ s", finished.stdout, re.MULTILINE)) == 1, step


def test_the_summary_is_printed_and_written(finished):
    for line in ("images", "split", "ROC-AUC", "average precision", "threshold", "sensitivity", "calibration slope"):
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


def test_the_digest_of_each_artifact_is_kept_where_the_artifacts_are_not(finished):
    """KFP hands metadata from task to task without the store; the last run's are in its cache of outputs."""
    kept = set(
        re.findall(r'"digest": "([0-9a-f]{64})"', "".join(p.read_text() for p in finished.out.glob(".*/cache/*")))
    )
    assert kept == {open_artifact(finished.out / step, kind).digest for step, kind in KINDS.items()}


def test_nothing_else_is_left_in_the_folder(finished):
    assert {path.name for path in finished.out.iterdir()} == {
        *KINDS,
        "summary.json",
        "report.html",
        "run.json",
        "run.log",
        "lesionflow.yaml",
        ".steps",
    }
    assert list(finished.out.parent.iterdir()) == [finished.out]


def test_a_failed_step_has_the_last_word_and_the_earlier_run_stays(sample, tmp_path, finished, lesionflow, small):
    out = tmp_path / "results"
    shutil.copytree(finished.out, out)
    broken = tmp_path / "images"
    shutil.copytree(sample / "images", broken)
    for path in sorted(broken.iterdir())[::5]:
        path.unlink()
    before = (out / "summary.json").read_bytes()
    done = lesionflow(
        "run",
        "--metadata",
        str(sample / "metadata.csv"),
        "--images",
        str(broken),
        "--out",
        str(out),
        *small,
        cwd=tmp_path,
    )
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ingest: ")
    assert "max_lost_pct" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert (out / "summary.json").read_bytes() == before
    assert (out / "failed" / "run.log").is_file()
    assert "finished steps are reused" in done.stdout


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (("--set", "epoch=3"), "unknown parameter 'epoch': did you mean 'epochs'?"),
        (("--set", "epochs=three"), "epochs: received 'three'; allowed: an integer"),
        (("--preset", "smaple"), "--preset: received 'smaple'; did you mean 'sample'?"),
        (("--weights", "no.npz"), "weights: received 'no.npz', which does not exist"),
        (("--metadata", "no.csv"), "metadata: received 'no.csv', which does not exist"),
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
    assert "holds files that no run has made" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def states(stdout):
    """The last state of each step that was shown."""
    return dict(re.findall(r"^([a-z]+) +(done|failed|reused|running)", stdout, re.MULTILINE))


@pytest.fixture(scope="module")
def copied(sample, finished, lesionflow, small, tmp_path_factory):
    """Runs the same command again, in a copy, with changed parameters or data; the folder and what was printed."""

    def again(*extra, images="images", out=finished.out):
        return lesionflow(
            "run", "--metadata", "metadata.csv", "--images", images, "--out", str(out), *small, *extra, cwd=sample
        )

    return again


def test_the_same_command_again_reuses_every_step_and_gives_the_same_results(finished, copied):
    before = (finished.out / "summary.json").read_bytes()
    done = copied()
    assert done.returncode == 0, done.stderr
    assert states(done.stdout) == {"check": "done", **dict.fromkeys(STEPS[1:], "reused")}
    assert (finished.out / "summary.json").read_bytes() == before


def test_a_changed_parameter_runs_its_step_and_those_after_it(finished, copied):
    done = copied("--set", "target_sensitivity=0.8")
    assert done.returncode == 0, done.stderr
    assert states(done.stdout) == {
        **dict.fromkeys(("ingest", "split", "records", "train"), "reused"),
        **dict.fromkeys(("check", "feasibility", "calibrate", "export", "evaluate", "gate"), "done"),
    }
    policy = json.loads((finished.out / "calibrate" / "decision_policy.json").read_text())
    assert policy["operating_point"]["target_sensitivity"] == 0.8


def test_a_damaged_output_is_made_again(finished, copied):
    """Results and kept steps are the same files where the file system has links."""
    shards = next((finished.out / "records").glob("val-*.tfrecord"))
    data = bytearray(shards.read_bytes())
    data[100] ^= 1
    shards.write_bytes(data)
    done = copied("--set", "target_sensitivity=0.8")
    assert done.returncode == 0, done.stderr
    assert states(done.stdout)["split"] == "reused"
    assert states(done.stdout)["records"] == "done"
    open_artifact(finished.out / "records", "records")


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


def left_running(folder):
    """Command lines of processes that name `folder`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # ended meanwhile
            line = path.read_bytes()
            if str(folder).encode() in line:
                found.append(line)
    return found


def gone(folder, seconds=15):
    """Whether no process names `folder`, or soon none does: the kernel closes a pipe a moment after a kill."""
    for _ in range(seconds * 10):
        if not left_running(folder):
            return True
        time.sleep(0.1)
    return False


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_a_stopped_run_leaves_no_process_and_the_same_command_goes_on(sample, tmp_path, small, stop, lesionflow):
    out = tmp_path / "results"
    process = start(sample, out, small, stop, after="split      running")
    assert process.returncode == (-signal.SIGKILL if stop == signal.SIGKILL else 130)
    assert gone(tmp_path)
    assert [path.name for path in out.iterdir()] == [".steps"]
    if stop == signal.SIGKILL:
        process = start(sample, out, small, signal.SIGTERM, after="ingest     reused")
        assert process.returncode == 130
        assert gone(tmp_path)


def test_a_run_that_is_stopped_before_any_step_is_done_leaves_nothing(sample, tmp_path, small):
    process = start(sample, tmp_path / "results", small, signal.SIGTERM, after="check      running")
    assert process.returncode == 130
    assert gone(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_packages_of_the_current_folder_are_not_imported(sample, tmp_path, lesionflow):
    for name in ("pipelines", "components"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('the wrong package')")
    data = ["--metadata", str(sample / "metadata.csv"), "--images", str(sample / "images")]
    done = lesionflow("run", *data, "--out", "results", "--preset", "sample", "--set", "recipe=column:no", cwd=tmp_path)
    assert states(done.stdout)["ingest"] == "done", done.stdout + done.stderr
    assert "the wrong package" not in done.stdout + done.stderr


def test_a_split_that_calibration_cannot_use_stops_the_run_before_training(sample, tmp_path, lesionflow):
    data = ["--metadata", str(sample / "metadata.csv"), "--images", str(sample / "images")]
    flags = [*data, "--out", "results", "--preset", "sample"]
    done = lesionflow("run", *flags, cwd=tmp_path)
    assert done.returncode == 1
    assert states(done.stdout) == {"check": "done", "ingest": "done", "split": "done", "feasibility": "failed"}
    said = done.stderr.strip().splitlines()
    assert said[0].startswith("error: feasibility: operating_point=lower_bound cannot guarantee a sensitivity of 0.9")
    assert [line for line in said if line.startswith("  --set operating_point=point   (")], done.stderr
    done = lesionflow("run", *flags, "--set", "operating_point=point", "--set", "epochs=0", cwd=tmp_path)
    assert done.returncode == 2
