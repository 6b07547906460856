"""Every command that a page sends to a cluster runs as it stands there, against servers that answer like real ones."""

import re
import shlex
from pathlib import Path

import pytest

from components.common.artifacts.folder import new_artifact
from components.common.storage import store
from pipelines.cli.main import main
from pipelines.cluster import log_stream, logs, submit
from pipelines.cluster_file import STEPS

ROOT = Path(__file__).parents[3]
FENCE = re.compile(r"^ *```sh cluster\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
TO_A_CLUSTER = {"compile", "doctor", "upload", "submit", "status", "logs", "fetch", "schedule"}
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


def lines_of(page):
    """The lines of all blocks that need a cluster."""
    for block in FENCE.findall(page.read_text(encoding="utf-8")):
        yield from (line.strip() for line in block.replace("\\\n", " ").splitlines())


def commands(page):
    """The commands of a page that go to a cluster; what stands in brackets may be left out, and is."""
    for line in lines_of(page):
        if line.startswith("lesionflow ") and line.split()[1] in TO_A_CLUSTER:
            yield re.sub(r"\s\[--.*", "", line.partition("  #")[0]).strip()


PAGES = [page for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*/*.md"))) if list(commands(page))]
# what a page says will be found out: no node has the GPU, none is as large as that
FAILING = ("doctor --cluster gke-t4 ", "--set-cluster sizes.evaluate.cpu=1000 ")


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
    made = {"split": "split_data", "records": "records", "export": "bundle", "evaluate": "evaluation"}
    for step, kind in made.items():
        target = root / "lesionflow" / run_id / step / kind
        target.parent.mkdir(parents=True)
        with new_artifact(target, kind, {}) as folder:
            (folder / "file").write_text(step)
    filled = {"spec": {"accessModes": ["ReadWriteMany"]}, "status": {"phase": "Bound"}}
    weekly = {"recurring_run_id": "s1", "display_name": "weekly", "status": "ENABLED", "trigger": {}}
    for method, path, *answers in (
        ("GET", "/apis/v1beta1/healthz", {"tag_name": "2.17.0"}),
        ("GET", "/version/", VERSION),
        ("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {"spec": {}, "status": {"allowed": True}}),
        ("GET", f"{SPACE}/serviceaccounts/lesionflow", {"metadata": {"name": "lesionflow"}}),
        ("GET", f"{SPACE}/persistentvolumeclaims/lesionflow-checkpoints", claim),
        ("GET", f"{SPACE}/persistentvolumeclaims/lesionflow-data", filled),
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
        ("GET", f"{KFP}/runs", {"runs": [{"run_id": run_id}]}),
        ("GET", f"{KFP}/runs/{run_id}", make_run("SUCCEEDED", {**dict.fromkeys(STEPS, "SUCCEEDED")})),
        ("GET", f"{KFP}/recurringruns", {}, {"recurringRuns": [weekly]}),  # before and after it is made
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


@pytest.fixture
def workplace(answering, tmp_path, monkeypatch):
    """The folder in which a page's commands are typed: the cluster file, and the references of pushed images."""
    registry = answering.url.removeprefix("http://")
    images = "".join(f"{kind}: {registry}/{kind}@sha256:{'a' * 64}\n" for kind in ("data", "cpu", "gpu"))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "images.yaml").write_text(images)
    example = (ROOT / "pipelines" / "configs" / "clusters" / "cpu-only.yaml").read_text()
    (tmp_path / "cluster.yaml").write_text(example + "data: {pvc: lesionflow-data, mount_path: /data}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def bucket(gcs_address):
    """Doctor writes into it and reads again."""
    store._store("gs://x").client.create_bucket("pages", project="test")
    return "gs://pages"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page_runs(page, answering, workplace, bucket, run_id, capsys):
    for number, written in enumerate(commands(page)):
        line = written.replace("gs://BUCKET", bucket).replace(" RUN", f" {run_id}")
        arguments = shlex.split(re.sub(r"--out (results|fetched)\b", rf"--out \g<1>{number}", line))[1:]
        arguments += [] if arguments[0] == "compile" else ["--host", answering.url]
        expected = 1 if any(words in line for words in FAILING) else 0
        assert main(arguments) == expected, f"{line}\n{capsys.readouterr().err}"
    said = {line.split()[1] for line in commands(page)}
    assert ("fetch" in said) == bool(list(workplace.glob("*/evaluate/evaluation/file")))


def test_the_guide_shows_every_command_that_goes_to_a_cluster():
    (guide,) = [page for page in PAGES if page.name == "cluster.md"]
    assert {line.split()[1] for line in commands(guide)} >= TO_A_CLUSTER - {"compile"}


@pytest.mark.parametrize("page", [*PAGES, ROOT / "docs" / "how-to" / "serving.md"], ids=lambda page: page.name)
def test_what_kubectl_and_make_are_given_is_there(page):
    text = page.read_text(encoding="utf-8")
    given = set(re.findall(r"kubectl apply -k (\S+)", text)) | set(
        re.findall(r"^(manifests/\S+\.sh)", text, re.MULTILINE)
    )
    assert [path for path in given if "..." not in path and not (ROOT / path.strip("`")).exists()] == []
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {line.split()[1] for line in lines_of(page) if line.startswith("make ")} <= targets
