"""The bundle in real model servers, asked over loopback by the code of docs/how-to/serving.md.

Each server needs an environment of its own with TensorFlow in it, which costs gigabytes: the tests run where a
variable names that environment's Python (`pip install kserve tensorflow`, `pip install mlserver tensorflow`).
"""

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

SERVERS = Path(__file__).parent / "servers"


def python_of(variable):
    path = os.environ.get(variable)
    if not path:
        pytest.skip(f"{variable} names no environment")
    return path


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextmanager
def running(command, ready, log, **options):
    """The server's process until the block ends; asked for readiness until it answers."""
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, **options)
        try:
            for _ in range(180):
                if process.poll() is not None:
                    break
                try:
                    urllib.request.urlopen(ready, timeout=2)
                    yield
                    return
                except (urllib.error.URLError, ConnectionError):
                    time.sleep(1)
            pytest.fail(f"the server did not come up:\n{log.read_text()[-2000:]}")
        finally:
            process.terminate()
            process.wait(30)


def check(rows, bundle, images):
    expected = bundle.predict(images)
    assert [row["status"] for row in rows] == expected.status.tolist() == ["ok", "not_an_image", "ok"]
    assert [row["decision"] for row in rows] == expected.decision.tolist()
    np.testing.assert_allclose([row["probability"] for row in rows], expected.probability, atol=1e-5)
    assert {row["policy_id"] for row in rows} == {bundle.policy.policy_id}


def test_kserve_answers_v1_requests_as_the_bundle_does(exported, bundle, kit, asking, tmp_path):
    python, port = python_of("LESIONFLOW_KSERVE_PYTHON"), free_port()
    command = [python, str(SERVERS / "kserve_server.py"), str(exported.path / "saved_model"), str(port)]
    images = [kit.jpeg(0), b"no image", kit.jpeg(1, 450, 600)]
    root = f"http://127.0.0.1:{port}/v1/models/lesionflow"
    with running(command, root, tmp_path / "log"):
        check(asking.predict(f"{root}:predict", images), bundle, images)


def test_mlserver_answers_v2_requests_as_the_bundle_does(exported, bundle, kit, asking, tmp_path):
    python, (port, grpc, metrics) = python_of("LESIONFLOW_MLSERVER_PYTHON"), (free_port() for _ in range(3))
    shutil.copy(SERVERS / "mlserver_runtime.py", tmp_path)
    settings = {
        "http_port": port,
        "grpc_port": grpc,
        "metrics_port": metrics,
        "host": "127.0.0.1",
        "parallel_workers": 0,
    }
    model = {
        "name": "lesionflow",
        "implementation": "mlserver_runtime.Bundle",
        "parameters": {"uri": str(exported.path / "saved_model")},
    }
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    (tmp_path / "model-settings.json").write_text(json.dumps(model))
    command = [str(Path(python).with_name("mlserver")), "start", str(tmp_path)]
    images = [kit.jpeg(0), b"no image", kit.jpeg(1, 450, 600)]
    root = f"http://127.0.0.1:{port}/v2/models/lesionflow"
    with running(command, f"{root}/ready", tmp_path / "log", env={**os.environ, "PYTHONPATH": str(tmp_path)}):
        check(asking.predict_v2(f"{root}/infer", images), bundle, images)
