"""Every command of docs/how-to/cluster.md runs as it stands there, against servers that answer like real ones."""

import re
import shlex
from pathlib import Path

import pytest

from components.common.artifacts.folder import new_artifact
from pipelines.cli.main import main
from pipelines.cluster import log_stream, logs, submit
from pipelines.cluster_file import STEPS

TEXT = (Path(__file__).parents[3] / "docs" / "how-to" / "cluster.md").read_text(encoding="utf-8")
SPACE = "/api/v1/namespaces/derm"
KFP = "/apis/v2beta1"
VERSION = {
    "major": "1",
    "minor": "36",
    "gitVersion": "v1.36.3",
    "gitCommit": "c",
    "gitTreeState": "clean",
    "buildDate": "2026-01-01",
    "goVersion": "go1.24",
    "compiler": "gc",
    "platform": "linux/amd64",
}


def commands():
    """The command lines of all blocks; what stands in brackets may be left out, and is."""
    for block in re.findall(r"```sh cluster\n(.*?)```", TEXT, re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("lesionflow "):
                yield re.sub(r"\s\[--.*", "", line.partition("  #")[0]).strip()


@pytest.fixture
def answering(cluster, run_id, make_run, make_pod, raw, tmp_path, monkeypatch):
    """A cluster on which everything is there and a run has succeeded."""
    monkeypatch.setattr(log_stream, "_RECONNECT_S", 0.01)
    monkeypatch.setattr(logs, "_REST_S", 0.01)
    monkeypatch.setattr(submit, "_POLL_S", 0.01)
    node = {
        "metadata": {"name": "a", "labels": {}},
        "spec": {},
        "status": {
            "allocatable": {"cpu": "64", "memory": "256Gi"},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }
    claim = {"spec": {"accessModes": ["ReadWriteOnce"]}, "status": {"phase": "Bound"}}
    done = {"exitCode": 0, "reason": "Completed"}
    pods = [make_pod(step, phase="Succeeded", terminated=done) for step in (*STEPS, "report-end")]
    root = tmp_path / "root"
    for step, kind in (("export", "bundle"), ("evaluate", "evaluation")):
        target = root / "lesionflow" / run_id / step / kind
        target.parent.mkdir(parents=True)
        with new_artifact(target, kind, {}) as folder:
            (folder / "file").write_text(step)
    weekly = {"recurring_run_id": "s1", "display_name": "weekly", "status": "ENABLED", "trigger": {}}
    for method, path, *answers in (
        ("GET", "/apis/v1beta1/healthz", {"tag_name": "2.17.0"}),
        ("GET", "/version/", VERSION),
        ("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {"spec": {}, "status": {"allowed": True}}),
        ("GET", f"{SPACE}/serviceaccounts/lesionflow", {"metadata": {"name": "lesionflow"}}),
        ("GET", f"{SPACE}/persistentvolumeclaims/lesionflow-checkpoints", claim),
        ("GET", f"{SPACE}/resourcequotas", {"items": []}),
        ("GET", "/api/v1/nodes", {"items": [node]}),
        ("GET", "/api/v1/pods", {"items": []}),
        ("GET", f"{SPACE}/events", {"items": []}),
        ("GET", f"{SPACE}/pods", {"metadata": {"resourceVersion": "1"}, "items": pods}),
        ("GET", f"{SPACE}/configmaps/kfp-launcher", {"data": {"defaultPipelineRoot": str(root)}}),
        ("GET", f"{KFP}/pipelines", {"pipelines": [{"pipeline_id": "p1"}]}),
        ("GET", f"{KFP}/pipelines/p1/versions", {}),
        ("POST", f"{KFP}/pipelines/upload_version", {"pipeline_id": "p1", "pipeline_version_id": "v1"}),
        ("GET", f"{KFP}/experiments", {"experiments": [{"experiment_id": "e1", "display_name": "lesionflow"}]}),
        ("POST", f"{KFP}/runs", {"run_id": run_id}),
        ("GET", f"{KFP}/runs/{run_id}", make_run("SUCCEEDED", {**dict.fromkeys(STEPS, "SUCCEEDED")})),
        ("GET", f"{KFP}/recurringruns", {}, {"recurringRuns": [weekly]}),
        ("POST", f"{KFP}/recurringruns", {"recurring_run_id": "s1"}),
        ("DELETE", f"{KFP}/recurringruns/s1", {}),
    ):
        cluster.on(method, path, *((200, answer) for answer in answers))
    for one in pods:
        name = one["metadata"]["name"]
        cluster.on("GET", f"{SPACE}/pods/{name}", (200, one))
        cluster.on("GET", f"{SPACE}/pods/{name}/log", raw(b"2026-11-20T10:00:00.1Z a line\n"))
    cluster.on("HEAD", "/v2/.*", (200, {}))
    return cluster


def test_every_command_of_the_page_runs(answering, run_id, tmp_path, monkeypatch, capsys):
    registry = answering.url.removeprefix("http://")
    images = "".join(f"{kind}: {registry}/{kind}@sha256:{'a' * 64}\n" for kind in ("data", "cpu", "gpu"))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "images.yaml").write_text(images)
    monkeypatch.chdir(tmp_path)
    ran = []
    for number, written in enumerate(commands()):
        bucket = str(tmp_path) if " doctor " in written else "gs://BUCKET"
        line = written.replace("cluster.yaml", "cpu-only").replace("gs://BUCKET", bucket).replace(" RUN", f" {run_id}")
        arguments = [*shlex.split(line.replace("--out results", f"--out results{number}"))[1:], "--host", answering.url]
        assert main(arguments) == 0, f"{line}\n{capsys.readouterr().err}"
        ran.append(arguments[0])
    assert set(ran) == {"doctor", "upload", "submit", "status", "logs", "fetch", "schedule"}
    assert len(list(tmp_path.glob("results*/evaluate/evaluation/file"))) == 2
