"""kill -9 at any moment: nothing half-made is ever seen, and a rerun gives the bytes of an undisturbed run."""

import json
import subprocess
import sys
import textwrap

import cv2
import numpy as np
import pytest

from components.common.imaging.pixels import encode_jpeg
from components.ingest.__main__ import main as ingest
from components.records.__main__ import main as records
from components.split.__main__ import main as split

KILLS = 20

# One process imports the step once and forks a child a trial, so that a kill hits work and not the imports.
TRIALS = """
    import importlib, json, os, random, shutil, signal, sys, time
    from pathlib import Path
    from components.common.artifacts.folder import open_artifact

    step, kills, out, kind, other = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4], sys.argv[5].split()
    main = importlib.import_module(f"components.{step}.__main__").main
    importlib.import_module(f"components.{step}.run")
    arguments = [*sys.argv[6:], "--out", str(out)]
    chance = random.Random(step)

    def start(*more):
        pid = os.fork()
        if pid == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            os._exit(main([*arguments, *more]))
        return pid

    def seconds(*more):
        began = time.monotonic()
        assert os.waitpid(start(*more), 0)[1] == 0
        return time.monotonic() - began

    first = seconds()
    longest = [seconds(), first, first]
    killed = seen = 0
    for trial in range(10 * kills):
        if killed == kills:
            break
        before = trial % 3
        if before == 0:  # the very same is there already
            seconds()
        elif before == 2:  # nothing is there, in the third case something else
            shutil.rmtree(out, ignore_errors=True)
            shutil.rmtree(out.parent / "cache", ignore_errors=True)
        child = start(*other if before == 1 else ())
        time.sleep(chance.uniform(0, longest[before]))
        os.kill(child, signal.SIGKILL)
        if os.WIFSIGNALED(os.waitpid(child, 0)[1]):
            killed += 1
        else:
            longest[before] *= 0.9
        if out.exists():
            seen += 1
            open_artifact(out, kind)  # whole, every hash right
    print(json.dumps({"killed": killed, "seen": seen}))
"""


def killed_many_times(step, kind, out, *arguments, other=""):
    """Kills the step while the same is there already, something else (by `other` arguments), and nothing."""
    command = [sys.executable, "-c", textwrap.dedent(TRIALS), step, str(KILLS), str(out), kind, other, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def files(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir()}


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    """A table and 60 pictures with a camera's grain, large enough that a step takes a while."""
    folder = tmp_path_factory.mktemp("collection")
    (folder / "images").mkdir()
    rows = ["lesion_id,image_id,dx"]
    for i in range(60):
        noise = np.random.default_rng(i)
        field = cv2.resize(noise.uniform(40, 220, (7, 9, 3)).astype(np.float32), (480, 360))
        field = np.clip(field + noise.normal(0, 9, field.shape), 0, 255).astype(np.uint8)
        (folder / "images" / f"im{i}.jpg").write_bytes(encode_jpeg(field, 90))
        rows.append(f"L{i},im{i},{('nv', 'mel', 'bkl')[i % 3]}")
    (folder / "table.csv").write_text("\n".join(rows) + "\n")
    arguments = ["--metadata", str(folder / "table.csv"), "--images", str(folder / "images")]
    assert ingest([*arguments, "--out", str(folder / "index")]) == 0
    assert split(["--index", str(folder / "index"), "--out", str(folder / "split")]) == 0
    return folder, arguments


def test_ingest_killed_twenty_times_ends_as_if_nothing_had_happened(collection, tmp_path):
    folder, arguments = collection
    arguments = [*arguments, "--cache", str(tmp_path / "cache")]
    assert killed_many_times("ingest", "index", tmp_path / "out", *arguments)["killed"] == KILLS
    assert ingest([*arguments, "--out", str(tmp_path / "out")]) == 0
    assert files(tmp_path / "out") == files(folder / "index")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cache", "out"]


def test_records_killed_twenty_times_end_as_if_nothing_had_happened(collection, tmp_path):
    folder, _ = collection
    arguments = ["--split", str(folder / "split"), "--record_size", "120", "--shard_bytes", "40000"]
    killed = killed_many_times("records", "records", tmp_path / "out", *arguments, other="--jpeg_quality 80")
    assert killed["killed"] == KILLS
    assert records([*arguments, "--out", str(tmp_path / "out")]) == 0
    assert records([*arguments, "--out", str(tmp_path / "calm")]) == 0
    assert files(tmp_path / "out") == files(tmp_path / "calm")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["calm", "out"]
