"""The sample DAG, run in the built images through KFP's DockerRunner. Off unless LESIONFLOW_CONTAINERS=1."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.cluster_file import Cluster
from pipelines.compile import compile_pipeline
from pipelines.parameters import load_preset, merge, validate
from pipelines.sample.generate import make_sample

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.skipif(not os.environ.get("LESIONFLOW_CONTAINERS"), reason="LESIONFLOW_CONTAINERS is not set"),
    pytest.mark.timeout(3600),
]


def run_dag(images, folder, arguments):
    cluster = Cluster.parse(
        {"images": {"data": images["data"], "cpu": images["cpu"], "gpu": images["cpu"]},
         "gpu": {"count": 0, "tolerations": []}, "training": {"retries": 0}}
    )  # fmt: skip
    (folder / "p.yaml").write_text(compile_pipeline(cluster))
    (folder / "a.json").write_text(json.dumps(arguments))
    command = [sys.executable, Path(__file__).with_name("docker_dag.py"), folder / "p.yaml", folder / "a.json",
               folder / "root", folder / "data"]  # fmt: skip
    with (folder / "log.txt").open("wb") as log:
        code = subprocess.run(command, check=False, stdout=log, stderr=subprocess.STDOUT, cwd=ROOT).returncode
    return code, (folder / "log.txt").read_text(errors="replace")


@pytest.fixture(scope="module")
def arguments(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dag")
    make_sample(folder / "data", 500, 7)
    for path in (folder, *folder.parents[:2], folder / "data"):
        path.chmod(0o755)
    given = {"metadata": "/data/metadata.csv", "images": ["/data/images"], "epochs": 2, "operating_point": "point"}
    return folder, validate(merge(load_preset("sample"), given)).values


def test_the_sample_dag_runs_in_the_images(images, arguments):
    folder, given = arguments
    code, log = run_dag(images, folder, given)
    assert code == 0, log[-4000:]
    assert "run succeeded" in log
    (metrics,) = (folder / "root").glob("*/evaluate/evaluation/metrics.json")
    assert 0.5 < json.loads(metrics.read_text())["roc_auc"]["value"] <= 1.0
    (environment,) = (folder / "root").glob("*/train/model/environment.json")
    assert images["commit"] in environment.read_text()
    assert metrics.stat().st_uid == 65532


def test_a_failing_step_fails_the_run_every_time(images, arguments, tmp_path):
    folder, given = arguments
    (folder / "data" / "bad.csv").write_text("a,b\n1,2\n")
    for attempt in range(5):
        work = tmp_path / str(attempt)
        work.mkdir()
        (work / "data").symlink_to(folder / "data")
        code, log = run_dag(images, work, {**given, "metadata": "/data/bad.csv"})
        assert code == 1, log[-2000:]
        assert "run failed" in log
