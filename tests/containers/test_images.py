"""The images built for real, and the sample DAG run inside them. Off unless LESIONFLOW_CONTAINERS=1.

It needs root, Debian's docker.io and mmdebstrap, and kubectl-free patience: about 10 minutes on two cores.
With LESIONFLOW_CONTAINERS=1 a machine that cannot start an engine fails these tests; it does not skip them.
LESIONFLOW_BASE_IMAGE names another base image than the one made from Debian's packages.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.cluster import Cluster, default_tag
from pipelines.compile import compile_pipeline
from pipelines.parameters import load_preset, merge, validate
from pipelines.sample import make_sample

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.skipif(not os.environ.get("LESIONFLOW_CONTAINERS"), reason="LESIONFLOW_CONTAINERS is not set"),
    pytest.mark.timeout(3600),
]
HARDENED = ["--rm", "--network", "none", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--user", "65532:65532"]
MOST_MB = {"data": 800}


def docker(*arguments, check=True):
    done = subprocess.run(["docker", *arguments], check=False, capture_output=True, text=True, timeout=1800)
    assert not check or done.returncode == 0, f"docker {' '.join(arguments)}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def engine(tmp_path_factory):
    """An engine that answers: the one of DOCKER_HOST, or one of our own."""
    if subprocess.run(["docker", "info"], check=False, capture_output=True).returncode == 0:
        yield os.environ.get("DOCKER_HOST", "default")
        return
    folder = tmp_path_factory.mktemp("engine")
    started = subprocess.run([ROOT / "images/engine.sh", folder], check=False, capture_output=True, text=True)
    assert started.returncode == 0, f"no Docker engine could be started:\n{started.stderr}"
    os.environ["DOCKER_HOST"] = started.stdout.strip()
    yield started.stdout.strip()
    os.kill(int((folder / "dockerd.pid").read_text()), 15)


@pytest.fixture(scope="session")
def images(engine):
    """`data` and `cpu` built from this tree, tagged with the commit."""
    base = os.environ.get("LESIONFLOW_BASE_IMAGE", "lesionflow-base:test")
    if not docker("images", "--quiet", base).strip():
        subprocess.run([ROOT / "images/base_image.sh", base], check=True)
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()  # fmt: skip
    os.environ["DOCKER_BUILDKIT"] = "1"
    tags = {}
    for target in ("data", "cpu"):
        tags[target] = f"lesionflow-{target}:{default_tag()}"
        docker(
            "build", "--network", "host", "--file", str(ROOT / "images/Dockerfile"), "--target", target,
            "--build-arg", f"BASE_IMAGE={base}", "--build-arg", f"COMMIT={commit}", "--tag", tags[target], str(ROOT),
        )  # fmt: skip
    return {**tags, "commit": commit, "base": base}


def size_mb(image):
    return int(docker("image", "inspect", "--format", "{{.Size}}", image)) / 1e6


def test_images_have_no_entrypoint_a_user_and_their_commit(images):
    for target in ("data", "cpu"):
        config = json.loads(docker("image", "inspect", images[target]))[0]["Config"]
        assert not config["Entrypoint"], "KFP's runner would put its command behind it"
        assert config["User"] == "65532:65532"
        assert config["Labels"]["org.opencontainers.image.revision"] == images["commit"]


def test_the_data_image_stays_small(images):
    """Counted without its base: the stand-in from Debian's packages is larger than python:slim's 125 MB."""
    own = size_mb(images["data"]) - size_mb(images["base"])
    assert own + 125 < MOST_MB["data"], f"{own:.0f} MB over its base"


def test_the_data_image_has_no_tensorflow(images):
    code = "import importlib.util as u; print([n for n in ('tensorflow', 'keras') if u.find_spec(n)])"
    assert docker("run", *HARDENED, images["data"], "python3", "-c", code).strip() == "[]"


@pytest.mark.parametrize("step", ["ingest", "split", "records", "calibrate"])
def test_data_steps_start_in_the_data_image(images, step):
    assert "usage" in docker("run", *HARDENED, images["data"], "python3", "-m", f"components.{step}", "--help")


@pytest.mark.parametrize("step", ["train", "export", "evaluate"])
def test_model_steps_start_in_the_cpu_image(images, step):
    assert "usage" in docker("run", *HARDENED, images["cpu"], "python3", "-m", f"components.{step}", "--help")


def test_tensorflow_starts_in_the_cpu_image(images):
    code = "import tensorflow as tf, keras; print(float(tf.reduce_sum(tf.ones([2, 3]))))"
    assert docker("run", *HARDENED, images["cpu"], "python3", "-c", code).strip() == "6.0"


def test_the_root_file_system_is_not_written_to(images):
    assert docker(
        "run", *HARDENED, images["data"], "sh", "-c", "touch /x 2>/dev/null && echo wrote; id -u"
    ).split() == ["65532"]


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


@pytest.fixture(scope="session")
def arguments(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dag")
    make_sample(folder / "data", 500, 7)
    for path in (folder, *folder.parents[:2], folder / "data"):
        path.chmod(0o755)
    given = {"metadata": "/data/metadata.csv", "images": ["/data/images"], "epochs": 2, "operating_point": "point"}
    parameters, _ = validate(merge(load_preset("sample"), given))
    return folder, parameters.model_dump()


def test_the_sample_dag_runs_in_the_images(images, arguments):
    folder, given = arguments
    code, log = run_dag(images, folder, given)
    assert code == 0, log[-4000:]
    assert "run ended: SUCCEEDED" in log
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
        assert "run ended: FAILED" in log
