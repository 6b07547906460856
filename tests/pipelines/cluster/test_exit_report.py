"""The last task says how the run ended and why, with the names and the API that a real cluster gives it."""

import logging
import subprocess
import sys

import pytest

from components.common.runtime.session import RUN_ID_VARIABLE
from pipelines.cluster import exit_report
from pipelines.cluster.errors import ClusterError
from pipelines.cluster.exit_report import write_exit_report
from pipelines.cluster.in_pod import InPodApi
from pipelines.side_tasks import report_end

PODS = "/api/v1/namespaces/derm/pods"


@pytest.fixture
def in_pod(cluster, certificates, serve, make_fake, tmp_path, monkeypatch, run_id):
    """An API server over TLS, and this process as a pod with a service account."""
    api = make_fake()
    account = tmp_path / "account"
    account.mkdir()
    (account / "token").write_text("pod-token-0123456789\n")
    (account / "namespace").write_text("derm")
    (account / "ca.crt").write_bytes(certificates.ca.read_bytes())
    with serve(api, certificates.context(ask_client=False)):
        host, port = api.url.removeprefix("https://").split(":")
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
        monkeypatch.setenv(RUN_ID_VARIABLE, run_id)
        monkeypatch.setattr(exit_report, "InPodApi", lambda: InPodApi(account))
        yield api


@pytest.mark.parametrize("state", ["COMPLETE", "SUCCEEDED"])
def test_success_is_no_error_and_points_to_the_results(tmp_path, caplog, state):
    page, summary = tmp_path / "deep" / "end.md", tmp_path / "deeper" / "summary"
    with caplog.at_level(logging.INFO):
        assert write_exit_report(state, None, page, summary) == "run succeeded"
    assert page.read_text().startswith("# Succeeded\n")
    assert "report" in page.read_text()
    assert summary.read_text() == "run succeeded"
    assert caplog.records[-1].levelname == "INFO"


def test_a_failed_run_is_explained_by_the_steps_own_error(in_pod, run_id, make_pod, raw, tmp_path, caplog):
    failed = make_pod("split", phase="Failed", terminated={"exitCode": 1, "reason": "Error"})
    in_pod.on("GET", PODS, (200, {"metadata": {}, "items": [failed]}))
    in_pod.on("GET", f"{PODS}/wf-split-0/log", raw(b"02:18:28 ERROR   split failed: <b>no</b> malignant lesion\n"))
    line = write_exit_report("FAILED", None, tmp_path / "end.md", tmp_path / "summary")
    assert line == "run failed: split: <b>no</b> malignant lesion"
    assert (tmp_path / "summary").read_text() == line
    page = (tmp_path / "end.md").read_text()
    assert page.startswith("# Failed\n\n    split: <b>no</b> malignant lesion\n\n")
    assert "lesionflow status" in page
    assert caplog.records[-1].levelname == "ERROR"
    assert in_pod.seen[0].query["labelSelector"] == [f"pipeline/runid={run_id}"]
    assert {request.headers["Authorization"] for request in in_pod.seen} == {"Bearer pod-token-0123456789"}


@pytest.mark.parametrize("status", [403, 500])
def test_without_the_right_to_read_pods_kubeflows_words_must_do(in_pod, tmp_path, status):
    in_pod.on("GET", PODS, (status, {"message": "no"}))
    said = "Task steps\nfailed."
    assert write_exit_report("FAILED", said, tmp_path / "a", tmp_path / "b") == "run failed: Task steps failed."


def test_outside_a_pod_nothing_is_asked(cluster, tmp_path):
    assert write_exit_report("FAILED", None, tmp_path / "a", tmp_path / "b") == "run failed"
    with pytest.raises(ClusterError, match="not a pod"):
        InPodApi(tmp_path)
    assert not cluster.seen


def test_a_canceled_run_is_no_error(cluster, tmp_path, caplog):
    assert write_exit_report("CANCELED", None, tmp_path / "a", tmp_path / "b") == "run canceled"
    assert caplog.records[-1].levelname == "WARNING"


def test_the_component_calls_it(cluster, tmp_path):
    status = type("Status", (), {"state": "FAILED", "error_message": "no"})()
    output = type("Output", (), {"path": str(tmp_path / "end.md")})()
    report_end.python_func(status, output, str(tmp_path / "summary"))
    assert (tmp_path / "end.md").read_text().startswith("# Failed")
    assert (tmp_path / "summary").read_text() == "run failed: no"


def test_it_runs_in_an_image_without_the_clients_of_kubernetes_and_kubeflow():
    code = (
        "import sys; sys.modules.update(kubernetes=None, kfp_server_api=None, pygments=None);"
        "import pipelines.cluster.exit_report"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
