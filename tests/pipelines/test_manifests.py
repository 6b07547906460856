"""The manifests render offline, fit Kubernetes' own schemas, and give the pods no more than they need."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipelines.cluster_file import load_cluster

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "manifests"
SETS = [
    "base",
    *(f"overlays/{name}" for name in ("gke", "on-premises", "kind", "kueue", "single-user", "multi-user")),
    "data",
    "third-party/nvidia-device-plugin",
    *(f"serving/{name}{gpu}" for name in ("kserve", "tensorflow-serving") for gpu in ("", "-gpu")),
]
SCRIPTS = [ROOT / ".ci/run", *sorted([*MANIFESTS.rglob("*.sh"), *(ROOT / "images").rglob("*.sh")])]


def tool(name):
    """A checker of the locked environment."""
    found = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert found, f"{name} is missing: make setup"
    return found


def render(name):
    assert shutil.which("kubectl"), "kubectl is missing: it comes with the machine image, and these tests need it"
    done = subprocess.run(
        ["kubectl", "kustomize", MANIFESTS / name], check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def rendered():
    return {name: [item for item in yaml.safe_load_all(render(name)) if item] for name in SETS}


def one(items, kind, name="lesionflow"):
    found = [item for item in items if item["kind"] == kind and item["metadata"]["name"] == name]
    assert len(found) == 1, f"{kind} {name}: {len(found)}"
    return found[0]


def test_every_kustomization_is_covered():
    found = {str(path.parent.relative_to(MANIFESTS)) for path in MANIFESTS.rglob("kustomization.yaml")}
    assert found == set(SETS)


def test_nothing_is_fetched_to_render():
    for path in MANIFESTS.rglob("kustomization.yaml"):
        assert not [
            item for item in yaml.safe_load(path.read_text()).get("resources", []) if "://" in item or "?" in item
        ]


@pytest.mark.parametrize("name", SETS)
def test_resources_fit_the_three_newest_kubernetes_schemas(rendered, name):
    import kubernetes_validate as validator
    from kubernetes_validate.utils import all_versions

    checked = 0
    for version in all_versions()[-3:]:
        for item in rendered[name]:
            if not {"kueue", "kserve", "kubeflow"} & set(
                re.split(r"[./-]", item["apiVersion"])
            ):  # their schemas are their own
                validator.validate(item, version, strict=True)
                checked += 1
    assert checked or name.startswith("serving/kserve")  # which holds nothing but KServe's own kind


def test_the_namespace_is_restricted(rendered):
    labels = one(rendered["base"], "Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_roles_have_no_wildcards_and_show_no_secret_by_list(rendered):
    for role in (item for item in rendered["base"] if item["kind"] == "Role"):
        for rule in role["rules"]:
            assert "*" not in [*rule["verbs"], *rule["resources"], *rule["apiGroups"]]
            if "secrets" in rule["resources"]:
                assert rule["verbs"] == ["get"]
                assert rule["resourceNames"]


def test_only_the_runner_gets_a_token(rendered):
    accounts = {item["metadata"]["name"]: item for item in rendered["base"] if item["kind"] == "ServiceAccount"}
    assert {name: item["automountServiceAccountToken"] for name, item in accounts.items()} == {
        "lesionflow": True,
        "default": False,
    }


@pytest.mark.parametrize("name", [name for name in SETS if name == "base" or name.startswith("overlays/")])
def test_every_binding_names_a_role_and_an_account_that_are_there(rendered, name):
    there = {(item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"]) for item in rendered[name]}
    bindings = [item for item in rendered[name] if item["kind"] == "RoleBinding"]
    assert bindings
    for item in bindings:
        space = item["metadata"]["namespace"]
        assert ("Role", space, item["roleRef"]["name"]) in there
        assert {("ServiceAccount", one["namespace"], one["name"]) for one in item["subjects"]} <= there


def test_on_a_single_user_kubeflow_nothing_of_kubeflows_own_is_touched(rendered):
    items = rendered["overlays/single-user"]
    assert {item["metadata"]["namespace"] for item in items} == {"kubeflow"}
    assert {(item["kind"], item["metadata"]["name"]) for item in items} == {
        ("ServiceAccount", "lesionflow"),
        ("Role", "lesionflow-runner"),
        ("RoleBinding", "lesionflow-runner"),
        ("Role", "lesionflow-viewer"),
        ("PersistentVolumeClaim", "lesionflow-checkpoints"),
    }


def test_a_multi_user_kubeflow_serves_the_namespace(rendered):
    namespace = one(rendered["base"], "Namespace")
    assert namespace["metadata"]["labels"]["pipelines.kubeflow.org/enabled"] == "true"


def test_a_profile_makes_its_namespace_itself(rendered):
    items = rendered["overlays/multi-user"]
    profile = one(items, "Profile")
    assert "namespace" not in profile["metadata"], "a Profile belongs to no namespace"
    assert not {"Namespace", "ResourceQuota"} & {item["kind"] for item in items}
    assert [item["metadata"]["name"] for item in items if item["kind"] == "ServiceAccount"] == ["lesionflow"]
    assert {item["metadata"]["namespace"] for item in items if item["kind"] != "Profile"} == {"lesionflow"}
    assert profile["spec"]["resourceQuotaSpec"]["hard"] == one(rendered["base"], "ResourceQuota")["spec"]["hard"]


# what each kind of pod carries: steps and drivers Argo's label, Kubeflow's artifact server and ours their own
STEP = {"workflows.argoproj.io/workflow": "lesionflow-abcde", "lesionflow/step": "train"}
ARTIFACT_SERVER = {"app": "ml-pipeline-ui-artifact"}
SERVING = {"app.kubernetes.io/name": "lesionflow-serving", "app.kubernetes.io/part-of": "lesionflow"}


def selects(selector, labels):
    assert set(selector) <= {"matchLabels", "matchExpressions"}
    expressions = selector.get("matchExpressions", [])
    assert all(one["operator"] == "Exists" for one in expressions)
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        one["key"] in labels for one in expressions
    )


def rules_for(items, labels, direction):
    """The rules of all policies that select a pod, added up; None where no policy does, and all is open."""
    policies = [item["spec"] for item in items if item["kind"] == "NetworkPolicy"]
    chosen = [spec for spec in policies if direction in spec["policyTypes"] and selects(spec["podSelector"], labels)]
    return [rule for spec in chosen for rule in spec.get(direction.lower()) or []] if chosen else None


@pytest.mark.parametrize("overlay", ["base", *(f"overlays/{name}" for name in ("gke", "on-premises", "kind", "kueue"))])
def test_policies_together_give_each_pod_what_it_should_have(rendered, overlay):
    items = [*rendered[overlay], *rendered["serving/tensorflow-serving"]]
    assert rules_for(items, STEP, "Ingress") == [], "nobody connects to a step"
    assert {443, 6443} <= {port["port"] for rule in rules_for(items, STEP, "Egress") for port in rule.get("ports", [])}
    assert rules_for(items, SERVING, "Egress") == [], "the serving pod calls nobody"
    assert (
        rules_for(items, SERVING, "Ingress")
        == one(rendered["serving/tensorflow-serving"], "NetworkPolicy", "lesionflow-serving")["spec"]["ingress"]
    )
    for direction in ("Ingress", "Egress"):
        assert rules_for(items, ARTIFACT_SERVER, direction) is None, "Kubeflow's own policies rule its artifact server"


def test_the_exit_task_may_read_the_pods_of_its_run_and_a_person_argos_messages(rendered):
    def allowed(role):
        return {
            (resource, verb)
            for rule in one(rendered["base"], "Role", role)["rules"]
            for resource in rule["resources"]
            for verb in rule["verbs"]
        }

    assert {("pods", "list"), ("pods/log", "get")} <= allowed("lesionflow-runner")
    assert {("pods", "list"), ("pods/log", "get"), ("workflows", "list")} <= allowed("lesionflow-viewer")


def test_without_users_a_person_reaches_kubeflow_through_the_api_servers_proxy(rendered):
    from pipelines.cluster.kfp_client import Client

    service = Client._KUBE_PROXY_PATH.format("kubeflow").split("/services/")[1].split("/")[0]
    rules = one(rendered["overlays/single-user"], "Role", "lesionflow-viewer")["rules"]
    (proxy,) = [rule for rule in rules if rule["resources"] == ["services/proxy"]]
    assert proxy["resourceNames"] == [service]
    assert proxy["verbs"] == ["get", "create"]


def test_gke_uses_workload_identity_and_no_claim(rendered):
    items = rendered["overlays/gke"]
    assert "iam.gke.io/gcp-service-account" in one(items, "ServiceAccount")["metadata"]["annotations"]
    assert "PersistentVolumeClaim" not in {item["kind"] for item in items}
    ports = [port["port"] for rule in one(items, "NetworkPolicy")["spec"]["egress"] for port in rule.get("ports", [])]
    assert 988 in ports, "GKE's metadata server"


@pytest.mark.parametrize(
    ("overlay", "config"), [("on-premises", "on-premises"), ("kind", "cpu-only"), ("gke", "gke-t4")]
)
def test_the_example_cluster_files_name_what_the_overlay_makes(rendered, overlay, config):
    items, cluster = rendered[f"overlays/{overlay}"], load_cluster(config)
    account = one(items, "ServiceAccount", cluster.service_account)
    assert [item["name"] for item in account.get("imagePullSecrets", [])] in ([], [cluster.image_pull_secret])
    if cluster.checkpoints.pvc:
        one(items, "PersistentVolumeClaim", cluster.checkpoints.pvc)


def test_the_loader_fills_the_claim_as_the_steps_user(rendered):
    items = rendered["data"]
    pod = one(items, "Pod", "lesionflow-data-loader")["spec"]
    claim = one(items, "PersistentVolumeClaim", "lesionflow-data")["metadata"]["name"]
    assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == claim
    assert pod["securityContext"]["runAsUser"] == load_cluster("on-premises").run_as_user
    assert "@sha256:" in pod["containers"][0]["image"]


def test_the_kueue_queues_point_at_each_other(rendered):
    items = rendered["overlays/kueue"]
    queue = one(items, "ClusterQueue")
    assert one(items, "LocalQueue")["spec"]["clusterQueue"] == "lesionflow"
    flavors = {flavor["name"] for group in queue["spec"]["resourceGroups"] for flavor in group["flavors"]}
    assert flavors == {item["metadata"]["name"] for item in items if item["kind"] == "ResourceFlavor"}
    assert not any(
        "namespace" in item["metadata"] for item in items if item["kind"] in ("ResourceFlavor", "ClusterQueue")
    )


def test_third_party_versions_are_pinned_and_agree(rendered):
    text = (MANIFESTS / "third-party" / "versions.env").read_text()
    versions = dict(re.findall(r"^(\w+)=(v?\d+\.\d+\.\d+)$", text, re.MULTILINE))
    assert set(versions) == {"KFP_VERSION", "KUEUE_VERSION", "NVIDIA_DEVICE_PLUGIN_VERSION"}
    plugin = one(rendered["third-party/nvidia-device-plugin"], "DaemonSet", "nvidia-device-plugin")
    image = plugin["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image.endswith(":" + versions["NVIDIA_DEVICE_PLUGIN_VERSION"])


def test_yaml_is_tidy():
    done = subprocess.run(
        [tool("yamllint"), "--strict", str(MANIFESTS)], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_pass_shellcheck(script):
    done = subprocess.run(
        [tool("shellcheck"), "-x", str(script)], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_the_dockerfile_passes_hadolint():
    done = subprocess.run(
        [tool("hadolint"), "images/Dockerfile"], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_manifests_pass_checkov(environment, tmp_path):
    command = [
        environment("checkov"),
        "-m",
        "checkov.main",
        "--quiet",
        "--compact",
        "--skip-download",
        "--framework",
        "kubernetes",
        "-d",
        tmp_path,
    ]
    for name in SETS:
        (tmp_path / f"{name.replace('/', '-')}.yaml").write_text(render(name))
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout
