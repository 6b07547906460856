"""The serving manifests, rendered by kubectl: what a cluster would be given."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2] / "manifests" / "serving"


def render(name):
    if shutil.which("kubectl") is None:
        pytest.fail("kubectl is not installed; the manifests cannot be rendered")
    done = subprocess.run(["kubectl", "kustomize", str(ROOT / name)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {item["kind"]: item for item in yaml.safe_load_all(done.stdout)}


@pytest.mark.parametrize("name", ["tensorflow-serving", "tensorflow-serving-gpu"])
def test_deployment_runs_without_privileges_and_serves_what_is_staged(name):
    made = render(name)
    pod = made["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    image, _, tag = container["image"].partition(":")
    assert image == "tensorflow/serving"
    assert tag.startswith("2.")
    assert tag.endswith("-gpu") == name.endswith("-gpu")
    assert "--model_base_path=/models/lesionflow" in container["args"]
    assert next(mount for mount in container["volumeMounts"] if mount["mountPath"] == "/models")["readOnly"] is True
    labels = made["Deployment"]["spec"]["template"]["metadata"]["labels"]
    for selector in (made["Service"]["spec"]["selector"], made["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"]):
        assert selector.items() <= labels.items()
    ports = {port["containerPort"] for port in container["ports"]}
    assert {port["port"] for port in made["Service"]["spec"]["ports"]} == ports
    assert made["NetworkPolicy"]["spec"]["egress"] == []
    claim = pod["volumes"][0]["persistentVolumeClaim"]["claimName"]
    assert claim == made["PersistentVolumeClaim"]["metadata"]["name"]


@pytest.mark.parametrize(("name", "gpus"), [("tensorflow-serving", None), ("tensorflow-serving-gpu", "1")])
def test_gpus_are_asked_for_only_where_meant(name, gpus):
    (container,) = render(name)["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"].get("nvidia.com/gpu") == gpus


@pytest.mark.parametrize(("name", "gpus"), [("kserve", None), ("kserve-gpu", "1")])
def test_inference_service_uses_the_tensorflow_runtime(name, gpus):
    service = render(name)["InferenceService"]
    model = service["spec"]["predictor"]["model"]
    assert model["modelFormat"]["name"] == "tensorflow"
    assert model["protocolVersion"] == "v1"
    assert model["storageUri"].endswith("/lesionflow")
    assert model["resources"]["limits"].get("nvidia.com/gpu") == gpus
    assert ("tolerations" in service["spec"]["predictor"]) == (gpus is not None)
