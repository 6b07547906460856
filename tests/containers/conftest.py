"""A Docker engine that lives as long as these tests, and the images built from this tree."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from pipelines.cluster_entries import default_tag

ROOT = Path(__file__).parents[2]


def docker(*arguments, check=True):
    done = subprocess.run(["docker", *arguments], check=False, capture_output=True, text=True, timeout=1800)
    assert not check or done.returncode == 0, f"docker {' '.join(arguments)}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def answers():
    return subprocess.run(["docker", "info"], check=False, capture_output=True).returncode == 0


@pytest.fixture(scope="package")
def engine(tmp_path_factory):
    """An engine that answers: the one of DOCKER_HOST, or one of our own, which is gone with all it held at the end."""
    with pytest.MonkeyPatch.context() as patch:
        # Debian's client brings BuildKit along; a newer one found first on PATH would ask for buildx
        patch.setenv("PATH", f"/usr/bin:/usr/sbin:{os.environ['PATH']}")
        patch.setenv("DOCKER_BUILDKIT", "1")
        if answers():
            yield
            return
        folder = tmp_path_factory.mktemp("engine")
        patch.setenv("DOCKER_HOST", f"unix://{folder}/docker.sock")
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen([ROOT / "images/engine.sh", folder], stdout=log, stderr=log)
        try:
            ends = time.monotonic() + 60
            while process.poll() is None and not answers() and time.monotonic() < ends:
                time.sleep(0.2)
            assert answers(), f"no Docker engine could be started:\n{(folder / 'log').read_text()[-3000:]}"
            yield
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="package")
def images(engine):
    """`data` and `cpu` built from this tree, tagged with the commit, and their base."""
    base = os.environ.get("LESIONFLOW_BASE_IMAGE", "lesionflow-base:test")
    if not docker("images", "--quiet", base).strip():
        subprocess.run([ROOT / "images/base_image.sh", base], check=True)
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()  # fmt: skip
    tags = {}
    for target in ("data", "cpu"):
        tags[target] = f"lesionflow-{target}:{default_tag()}"
        docker(
            "build", "--network", "host", "--file", str(ROOT / "images/Dockerfile"), "--target", target,
            "--build-arg", f"BASE_IMAGE={base}", "--build-arg", f"COMMIT={commit}", "--tag", tags[target], str(ROOT),
        )  # fmt: skip
    return {**tags, "commit": commit, "base": base}


@pytest.fixture(scope="package")
def hardened(images):
    """Runs a command in an image the way a pod is run: `hardened("data", "python3", ..., volumes={from: to})`."""

    def run(image, *command, volumes=None, check=True):
        mounts = [f"--volume={source}:{target}:ro" for source, target in (volumes or {}).items()]
        return docker(
            "run", "--rm", "--network", "none", "--read-only", "--tmpfs", "/tmp:exec", "--cap-drop", "ALL",
            "--security-opt", "no-new-privileges", "--user", "65532:65532", *mounts, images[image], *command,
            check=check,
        )  # fmt: skip

    return run
