"""Doctor finds what would stop a run, and says what to do about each."""

import base64
import io
import json

import pytest
from rich.console import Console

from components.common.runtime.errors import LesionflowError
from pipelines.cluster import doctor
from pipelines.cluster.check_images import ImageName, check_images, image_exists, pull_credentials
from pipelines.cluster.check_namespace import check_objects, check_quota
from pipelines.cluster.check_nodes import amount, check_nodes
from pipelines.cluster.check_servers import check_kfp, check_kubernetes
from pipelines.cluster.doctor import PROBE, all_checks, check_bucket, report
from pipelines.cluster.errors import ClusterError
from pipelines.cluster_file import TASKS, Cluster

SPACE = "/api/v1/namespaces/derm"
REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
DIGEST = "sha256:" + "b" * 64
GPU = Cluster.parse(
    {
        "gpu": {"node_selector": {"accelerator": "t4"}},
        "sizes": {"train": {"cpu": "6", "memory": "20Gi"}},
        "service_account": "lesionflow",
        "image_pull_secret": "pull",
        "gcs_credentials": {"secret": "gcs"},
        "s3": {"secret": "s3"},
        "checkpoints": {"pvc": "ckpt"},
        "registry": {"server": "http://registry.kubeflow.svc:8080", "token_secret": "models"},
    }
)


def node(name, labels=None, taints=None, gpus="1", ready="True", cpu="8"):
    return {
        "metadata": {"name": name, "labels": {"accelerator": "t4"} if labels is None else labels},
        "spec": {"taints": taints or []},
        "status": {
            "allocatable": {"cpu": cpu, "memory": "30Gi", **({"nvidia.com/gpu": gpus} if gpus else {})},
            "conditions": [{"type": "Ready", "status": ready}],
        },
    }


def taint(key, value=None, effect="NoSchedule"):
    return {"key": key, "effect": effect, **({"value": value} if value else {})}


def busy(on, gpus="1", cpu="1", phase="Running"):
    resources = {"limits": {"nvidia.com/gpu": gpus}, "requests": {"cpu": cpu}}
    return {
        "metadata": {"name": "other"},
        "spec": {"nodeName": on, "containers": [{"name": "main", "resources": resources}]},
        "status": {"phase": phase},
    }


@pytest.fixture
def healthy(cluster):
    cluster.on("GET", "/apis/v1beta1/healthz", (200, {"tag_name": "2.17.0"}))
    cluster.on("GET", "/version/", (200, VERSION))
    cluster.on("POST", REVIEW, (201, {"spec": {}, "status": {"allowed": True}}))
    cluster.on("GET", f"{SPACE}/serviceaccounts/lesionflow", (200, {"metadata": {"name": "lesionflow"}}))
    cluster.on("GET", f"{SPACE}/secrets/pull", (200, pull_secret("r.example", "me:pass")))
    cluster.on("GET", f"{SPACE}/secrets/gcs", (200, {"data": {"key.json": "e30="}}))
    cluster.on("GET", f"{SPACE}/secrets/s3", (200, {"data": {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}}))
    cluster.on("GET", f"{SPACE}/secrets/models", (200, {"data": {"token": ""}}))
    cluster.on("GET", f"{SPACE}/persistentvolumeclaims/ckpt", (200, claim("Bound")))
    cluster.on("GET", f"{SPACE}/resourcequotas", (200, {"items": []}))
    cluster.on("GET", "/api/v1/nodes", (200, {"items": [node("a"), node("b", labels={})]}))
    cluster.on("GET", "/api/v1/pods", (200, {"items": []}))
    return cluster


VERSION = {
    "major": "1",
    "minor": "33",
    "gitVersion": "v1.33.1",
    "gitCommit": "c",
    "gitTreeState": "clean",
    "buildDate": "2026-01-01",
    "goVersion": "go1.24",
    "compiler": "gc",
    "platform": "linux/amd64",
}


def claim(phase):
    return {"spec": {"accessModes": ["ReadWriteOnce"]}, "status": {"phase": phase, "capacity": {"storage": "50Gi"}}}


def pull_secret(host, basic):
    auths = {"auths": {host: {"auth": base64.b64encode(basic.encode()).decode()}}}
    return {"data": {".dockerconfigjson": base64.b64encode(json.dumps(auths).encode()).decode()}}


def by_name(checks):
    return {check.what: check for check in checks}


def test_a_healthy_cluster_is_ok_throughout(healthy, connection):
    for checks in (
        check_kubernetes(connection),
        check_kfp(connection),
        check_objects(connection, GPU),
        check_quota(connection, GPU),
        check_nodes(connection, GPU),
    ):
        assert [check for check in checks if check.state != "ok"] == []


def test_versions_are_told(healthy, connection):
    assert "v1.33.1, namespace derm" in by_name(check_kubernetes(connection))["Kubernetes API"].found
    assert "2.17.0, single-user" in by_name(check_kfp(connection))["Kubeflow Pipelines"].found


@pytest.mark.parametrize(
    ("version", "state"),
    [
        ("1.8.5", "failed"),
        ("2.5.0", "failed"),
        ("2.14.3", "warning"),
        ("2.16.0", "warning"),
        ("2.17.0", "ok"),
        ("v2.18.1", "ok"),
        ("3.0.0", "ok"),
        ("dev", "ok"),
    ],
)
def test_a_kubeflow_that_ignores_what_the_file_says_is_named(healthy, connection, version, state):
    healthy.on("GET", "/apis/v1beta1/healthz", (200, {"tag_name": version}))
    assert by_name(check_kfp(connection))["Kubeflow Pipelines"].state == state


def test_a_server_that_does_not_tell_its_version_is_taken(healthy, connection):
    healthy.on("GET", "/apis/v1beta1/healthz", (404, {}))
    assert "version unknown" in by_name(check_kfp(connection))["Kubeflow Pipelines"].found


@pytest.mark.parametrize("status", [401, 403, 503])
def test_servers_that_do_not_answer_are_failures_with_a_remedy(healthy, connection, status):
    healthy.on("GET", "/apis/v2beta1/healthz", (status, {"message": "no"}))
    healthy.on("GET", "/version/", (status, {"message": "no"}))
    for check in (*check_kfp(connection), *check_kubernetes(connection)):
        assert check.state == "failed"
        assert f"HTTP {status}" in check.found
        assert check.remedy


def test_missing_rights_are_named(healthy, connection):
    healthy.on("POST", REVIEW, (201, {"spec": {}, "status": {"allowed": False}}))
    check = by_name(check_kubernetes(connection))["rights"]
    assert check.state == "warning"
    assert "list pods, get pods/log" in check.found


def test_what_cluster_yaml_names_must_be_there(healthy, connection):
    healthy.on("GET", f"{SPACE}/serviceaccounts/lesionflow", (404, {"message": "not found"}))
    healthy.on("GET", f"{SPACE}/secrets/pull", (403, {"message": "no"}))
    healthy.on("GET", f"{SPACE}/secrets/gcs", (200, {"data": {"other.json": ""}}))
    healthy.on("GET", f"{SPACE}/secrets/s3", (200, {"data": {"AWS_ACCESS_KEY_ID": ""}}))
    healthy.on("GET", f"{SPACE}/secrets/models", (404, {"message": "not found"}))
    healthy.on("GET", f"{SPACE}/persistentvolumeclaims/ckpt", (200, claim("Lost")))
    found = by_name(check_objects(connection, GPU))
    states = {name: check.state for name, check in found.items()}
    assert states == {
        "service account lesionflow": "failed",
        "pull secret pull": "warning",
        "GCS secret gcs": "failed",
        "S3 secret s3": "failed",
        "registry secret models": "failed",
        "claim ckpt": "failed",
    }
    assert "holds other.json, not key.json" in found["GCS secret gcs"].found
    assert "holds AWS_ACCESS_KEY_ID, not AWS_SECRET_ACCESS_KEY" in found["S3 secret s3"].found
    assert "kubectl create secret generic s3" in found["S3 secret s3"].remedy


def test_claims_with_data_are_looked_for_too(healthy, connection):
    healthy.on("GET", f"{SPACE}/persistentvolumeclaims/images", (404, {"message": "not found"}))
    cluster = Cluster.parse({"data": {"pvc": "images"}, "checkpoints": {"pvc": "ckpt"}})
    states = {check.what: check.state for check in check_objects(connection, cluster)}
    assert states == {"claim ckpt": "ok", "claim images": "failed"}
    assert "manifests/data" in by_name(check_objects(connection, cluster))["claim images"].remedy


@pytest.mark.parametrize(
    ("mode", "shards", "state"),
    [
        ("ReadWriteOnce", 1, "ok"),
        ("ReadWriteOnce", 4, "warning"),
        ("ReadWriteMany", 4, "ok"),
        ("ReadOnlyMany", 4, "ok"),
    ],
)
def test_a_claim_that_one_node_can_mount_is_named_where_several_pods_read_it(healthy, connection, mode, shards, state):
    found = {"spec": {"accessModes": [mode]}, "status": {"phase": "Bound"}}
    healthy.on("GET", f"{SPACE}/persistentvolumeclaims/images", (200, found))
    cluster = Cluster.parse({"data": {"pvc": "images"}, "data_shards": shards})
    (check,) = check_objects(connection, cluster)
    assert (check.what, check.state) == ("claim images", state)
    assert ("the 4 pods of data_shards" in check.found) == (state == "warning")


def test_the_key_that_signs_is_looked_for(healthy, connection):
    registry = {"server": "http://registry.example", "signing_secret": "signer"}
    cluster = Cluster.parse({"registry": registry})
    healthy.on("GET", f"{SPACE}/secrets/signer", (200, {"data": {"certificate": ""}}))
    (check,) = check_objects(connection, cluster)
    assert (check.what, check.state) == ("signing secret signer", "failed")
    assert "holds certificate, not key" in check.found
    assert "--from-file=key=FILE" in check.remedy


def test_a_claim_that_waits_for_its_first_pod_is_only_a_warning(healthy, connection):
    healthy.on("GET", f"{SPACE}/persistentvolumeclaims/ckpt", (200, claim("Pending")))
    assert by_name(check_objects(connection, GPU))["claim ckpt"].state == "warning"


@pytest.mark.parametrize(
    ("hard", "used", "state"),
    [
        ({"requests.nvidia.com/gpu": "2"}, {"requests.nvidia.com/gpu": "2"}, "failed"),
        ({"requests.nvidia.com/gpu": "2"}, {"requests.nvidia.com/gpu": "1"}, "ok"),
        ({"limits.memory": "64Gi"}, {"limits.memory": "50Gi"}, "failed"),
        ({"cpu": "10"}, {"cpu": "3500m"}, "ok"),
        ({"pods": "10"}, {"pods": "10"}, "failed"),
    ],
)
def test_a_quota_must_leave_room_for_the_largest_step(healthy, connection, hard, used, state):
    quota = {"metadata": {"name": "q"}, "status": {"hard": hard, "used": used}}
    healthy.on("GET", f"{SPACE}/resourcequotas", (200, {"items": [quota]}))
    assert [check.state for check in check_quota(connection, GPU)] == [state]


@pytest.mark.parametrize(
    ("nodes", "pods", "state", "words"),
    [
        ([node("a"), node("b")], [], "ok", "2 of 2: a, b"),
        ([node("a", labels={})], [], "failed", "a: no label accelerator"),
        ([node("a", labels={"accelerator": "l4"})], [], "failed", "label accelerator is 'l4', not 't4'"),
        ([node("a", taints=[taint("nvidia.com/gpu", "present")])], [], "ok", "1 of 1"),
        ([node("a", taints=[taint("team", "x")])], [], "failed", "taint team=x:NoSchedule is not tolerated"),
        ([node("a", taints=[taint("team", "x", "PreferNoSchedule")])], [], "ok", "1 of 1"),
        ([node("a", ready="Unknown")], [], "failed", "node is not Ready"),
        ([node("a", gpus=None)], [], "failed", "nvidia.com/gpu: 0 free, 1 requested"),
        ([node("a")], [busy("a")], "warning", "nvidia.com/gpu: 0 free"),
        ([node("a")], [busy("a", phase="Succeeded")], "ok", "1 of 1"),
        ([node("a")], [busy("a", gpus="0", cpu="2500m")], "warning", "cpu: 5.5 free, 6 requested"),
        ([node("a", cpu="4")], [], "failed", "cpu: 4 free, 6 requested"),
        ([node("a", labels={"cloud.google.com/gke-nodepool": "p"})], [], "warning", "none now"),
        ([], [], "failed", "the cluster has no node"),
    ],
)
def test_each_node_is_taken_or_explained(healthy, connection, nodes, pods, state, words):
    healthy.on("GET", "/api/v1/nodes", (200, {"items": nodes}))
    healthy.on("GET", "/api/v1/pods", (200, {"items": pods}))
    check = by_name(check_nodes(connection, GPU))["node for train"]
    assert check.state == state
    assert words in check.found
    assert check.remedy or state == "ok"


def test_without_a_gpu_the_training_needs_a_node_that_its_selector_fits(healthy, connection):
    cluster = Cluster.parse({"gpu": {"count": 0, "node_selector": {"pool": "large"}}, "sizes": {"train": {"cpu": "6"}}})
    healthy.on("GET", "/api/v1/nodes", (200, {"items": [node("a"), node("b", labels={"pool": "large"})]}))
    assert by_name(check_nodes(connection, cluster))["node for train"].found == "1 of 2: b"


def test_a_node_is_looked_for_for_every_step(healthy, connection):
    """A run once hung in evaluate, which asked for more than the only node had, after training had gone well."""
    cluster = Cluster.parse({**GPU.model_dump(), "sizes": {"train": {"cpu": "6"}, "evaluate": {"cpu": "12"}}})
    healthy.on("GET", "/api/v1/nodes", (200, {"items": [node("a")]}))
    checks = by_name(check_nodes(connection, cluster))
    assert {name for check in checks for name in check.removeprefix("node for ").split(", ")} == set(TASKS)
    short = [check for check in checks.values() if check.state != "ok"]
    assert [check.what for check in short] == ["node for evaluate"]
    assert "a: cpu: 8 free, 12 requested" in short[0].found
    assert short[0].remedy == "change sizes of these steps in the cluster file"


def test_a_tainted_gpu_node_alone_leaves_the_other_steps_without_one(healthy, connection):
    healthy.on("GET", "/api/v1/nodes", (200, {"items": [node("a", taints=[taint("nvidia.com/gpu")])]}))
    states = {check.what: check.state for check in check_nodes(connection, GPU)}
    assert states.pop("node for train") == "ok"
    assert set(states.values()) == {"failed"}


def test_without_the_right_to_see_nodes_that_is_said(healthy, connection):
    healthy.on("GET", "/api/v1/nodes", (403, {"message": "forbidden"}))
    assert [check.state for check in check_nodes(connection, GPU)] == ["warning"]


def test_a_cpu_cluster_needs_no_gpu_node(healthy, connection):
    healthy.on("GET", "/api/v1/nodes", (200, {"items": [node("a", labels={}, gpus=None)]}))
    cpu = Cluster.parse({"gpu": {"count": 0, "tolerations": []}})
    healthy.on("GET", "/api/v1/pods", (403, {"message": "forbidden"}))
    assert [(check.what, check.state) for check in check_nodes(connection, cpu) if check.state != "ok"] == [
        ("free resources", "warning")
    ]


def test_a_missing_pull_secret_is_named_once(healthy, connection):
    healthy.on("GET", f"{SPACE}/secrets/pull", (404, {"message": "not found"}))
    healthy.on("HEAD", "/v2/.*", (200, {}))
    images = {name: f"{registry_host(healthy)}/{name}@{DIGEST}" for name in ("data", "cpu", "gpu")}
    cluster = Cluster.parse({**GPU.model_dump(), "images": images})
    named = [check for check in all_checks(connection, cluster, []) if "pull" in check.what]
    assert [check.state for check in named] == ["failed"]


@pytest.mark.parametrize(("quantity", "value"), [("500m", 0.5), ("4Gi", 4 * 1024**3), ("1k", 1000), (None, 0)])
def test_quantities_of_nodes_and_pods_are_numbers(quantity, value):
    assert amount(quantity) == pytest.approx(value)


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        (f"r.example:5000/a/b@{DIGEST}", ("r.example:5000", "a/b", DIGEST)),
        ("images.example/a/b:0123456789ab", ("images.example", "a/b", "0123456789ab")),
        ("lesionflow-gpu:abc", ("registry-1.docker.io", "library/lesionflow-gpu", "abc")),
        ("me/image", ("registry-1.docker.io", "me/image", "latest")),
    ],
)
def test_image_names_are_taken_apart(image, parts):
    name = ImageName.parse(image)
    assert (name.host, name.repository, name.reference) == parts


def registry_host(cluster):
    return cluster.url.removeprefix("http://")


def test_an_image_behind_a_token_is_found(cluster):
    host = registry_host(cluster)
    challenge = f'Bearer realm="{cluster.url}/token",service="reg"'

    def manifests(request):
        signed_in = request.headers.get("Authorization") == "Bearer pull-only"
        return (200, {}) if signed_in else (401, {}, {"WWW-Authenticate": challenge})

    cluster.on("HEAD", f"/v2/team/x/manifests/{DIGEST}", manifests)
    cluster.on("GET", "/token", (200, {"token": "pull-only"}))
    assert image_exists(f"{host}/team/x@{DIGEST}", {host: "me:pass"})
    asked = cluster.requests("GET", "/token")[0]
    assert asked.query["scope"] == ["repository:team/x:pull"]
    assert asked.headers["Authorization"] == "Basic " + base64.b64encode(b"me:pass").decode()


def test_a_registry_cannot_lure_the_password_elsewhere(cluster):
    host = registry_host(cluster)
    cluster.on("HEAD", "/v2/.*", (401, {}, {"WWW-Authenticate": 'Bearer realm="http://evil.example/token"'}))
    with pytest.raises(ClusterError, match="not https; refused"):
        image_exists(f"{host}/x@{DIGEST}", {host: "me:pass"})


def test_images_are_looked_up_with_the_pull_secret(healthy, connection):
    host = registry_host(healthy)
    basic = "Basic " + base64.b64encode(b"me:pass").decode()

    def manifests(request):
        if request.headers.get("Authorization") != basic:
            return 401, {}, {"WWW-Authenticate": 'Basic realm="x"'}
        return (404, {}) if "gpu" in request.path else (200, {})

    healthy.on("HEAD", "/v2/.*", manifests)
    healthy.on("GET", f"{SPACE}/secrets/pull", (200, pull_secret(host, "me:pass")))
    images = {name: f"{host}/{name}@{DIGEST}" for name in ("data", "cpu", "gpu")}
    cluster = Cluster.parse({"images": images, "image_pull_secret": "pull"})
    states = {check.what.split("/")[-1].split("@")[0]: check.state for check in check_images(connection, cluster)}
    assert states == {"data": "ok", "cpu": "ok", "gpu": "failed"}


def test_a_secret_of_another_kind_is_no_pull_secret(healthy, connection):
    healthy.on("GET", f"{SPACE}/secrets/pull", (200, {"data": {"x": "eA=="}}))
    healthy.on("HEAD", "/v2/.*", (200, {}))
    images = {name: f"{registry_host(healthy)}/{name}@{DIGEST}" for name in ("data", "cpu", "gpu")}
    checks = check_images(connection, Cluster.parse({"images": images, "image_pull_secret": "pull"}))
    assert by_name(checks)["pull secret pull"].state == "failed"
    with pytest.raises(ClusterError, match="kubectl create secret docker-registry"):
        pull_credentials(type("Secret", (), {"data": None})())


def test_a_bucket_is_written_to_and_read(tmp_path, monkeypatch):
    assert check_bucket(str(tmp_path)).state == "ok"
    assert (tmp_path / PROBE).is_file()

    def refuse(*_):
        raise LesionflowError("gs://b: not allowed, token=abcdefgh")

    monkeypatch.setattr(doctor.store, "upload", refuse)
    check = check_bucket("gs://b")
    assert check.state == "failed"
    assert "abcdefgh" not in check.found


def test_the_whole_report_has_a_remedy_for_each_failure_and_fails(healthy, connection, tmp_path):
    healthy.on("GET", "/api/v1/nodes", (200, {"items": [node("a", labels={})]}))
    healthy.on("HEAD", "/v2/.*", (404, {}))
    images = {name: f"{registry_host(healthy)}/{name}@{DIGEST}" for name in ("data", "cpu", "gpu")}
    cluster = Cluster.parse({**GPU.model_dump(), "images": images})
    console = Console(file=io.StringIO(), width=200)
    with pytest.raises(ClusterError, match="4 things would stop a run"):
        report(all_checks(connection, cluster, [str(tmp_path)]), console)
    text = console.file.getvalue()
    assert text.count("failed ") == text.count("-> ") == 4
    assert "no label accelerator" in text


def test_no_kubernetes_leaves_out_what_needs_it(healthy, connection):
    healthy.on("GET", "/version/", (401, {"message": "no"}))
    checks = list(all_checks(connection, GPU, []))
    assert [check.what for check in checks] == ["Kubeflow Pipelines", "Kubernetes API"]
