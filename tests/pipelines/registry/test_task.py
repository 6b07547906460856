"""The optional last task: registered by the compiled pipeline, from real artifacts, at a registry on loopback."""

import base64
import json
import subprocess

import pytest
import tensorflow as tf
from kfp import dsl

from components.common.runtime.errors import ConfigError
from pipelines.cluster_file import Cluster
from pipelines.compile import compile_pipeline
from pipelines.ir import executors, load_documents, placement, step_tasks
from pipelines.registry.client import RegistryError
from pipelines.registry.task import register

CONFIG = {"gate": ["auc >= 0.5"], "resamples": 200}
REGISTRY = {"server": "http://model-registry-service.kubeflow.svc:8080", "models": "gs://bucket/models"}


@pytest.fixture(scope="module")
def documents():
    cluster = Cluster.parse({"registry": {**REGISTRY, "token_secret": "registry-token"}})
    return load_documents(compile_pipeline(cluster))


@pytest.fixture(scope="module")
def evaluation(exported, evaluated, tmp_path_factory):
    return evaluated(tmp_path_factory.mktemp("judged") / "evaluation", exported.path, CONFIG["gate"])


def test_a_cluster_with_a_registry_has_one_more_task_after_the_gate_and_no_more_parameters(documents):
    spec, _ = documents
    plain, _ = load_documents(compile_pipeline(Cluster()))
    assert set(step_tasks(spec)) - set(step_tasks(plain)) == {"register"}
    task = step_tasks(spec)["register"]
    assert {"export", "evaluate", "gate"} <= set(task["dependentTasks"])
    given = task["inputs"]["parameters"]
    assert given.pop("config")["taskOutputParameter"] == {"producerTask": "check", "outputParameterKey": "evaluate"}
    constants = {name: value["runtimeValue"]["constant"] for name, value in given.items()}
    assert constants == {**REGISTRY, "name": "lesionflow"}
    parameters = [one["root"]["inputDefinitions"]["parameters"] for one in (spec, plain)]
    assert parameters[0] == parameters[1]
    assert len(parameters[0]) <= 20


def test_its_pod_runs_the_cpu_image_with_the_token_from_its_secret(documents):
    spec, platform = documents
    container = executors(spec)["register"]
    assert container["image"] == executors(spec)["export"]["image"]
    mount = "/var/run/secrets/model-registry"
    assert {"name": "KF_PIPELINES_SA_TOKEN_PATH", "value": f"{mount}/token"} in container["env"]
    (secret,) = placement(platform)["register"]["secretAsVolume"]
    assert (secret["secretName"], secret["mountPath"]) == ("registry-token", mount)


def test_a_signing_secret_reaches_the_task_and_what_it_stages_is_signed(
    exported, evaluation, serve_registry, tmp_path, monkeypatch
):
    cluster = Cluster.parse({"registry": {**REGISTRY, "signing_secret": "model-signing"}})
    spec, platform = load_documents(compile_pipeline(cluster))
    mount = "/var/run/secrets/model-signing"
    assert {"name": "LESIONFLOW_SIGNING", "value": mount} in executors(spec)["register"]["env"]
    (secret,) = placement(platform)["register"]["secretAsVolume"]
    assert (secret["secretName"], secret["mountPath"]) == ("model-signing", mount)

    monkeypatch.setenv("LESIONFLOW_SIGNING", str(tmp_path))
    bundle, judged = dsl.Model(uri=str(exported.path)), dsl.Artifact(uri=str(evaluation))
    card = dsl.Markdown(uri=str(tmp_path / "card"))
    with serve_registry() as (url, server):
        with pytest.raises(ConfigError, match=r"registry\.signing_secret: the secret has no entry `key`"):
            register.python_func(bundle, judged, CONFIG, card, server=url, models=str(tmp_path / "models"))
        assert not server.models
        subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-out", tmp_path / "key"], check=True)
        register.python_func(bundle, judged, CONFIG, card, server=url, models=str(tmp_path / "models"))
    (signature,) = (tmp_path / "models").glob("*/1/model.sig")
    names = {one["name"] for one in statement(signature)["predicate"]["resources"]}
    version = signature.parent
    assert names == {p.relative_to(version).as_posix() for p in version.rglob("*") if p.is_file()} - {"model.sig"}


def statement(signature):
    return json.loads(base64.b64decode(json.loads(signature.read_text())["dsseEnvelope"]["payload"]))


def test_an_address_that_is_none_is_refused_when_the_pipeline_is_compiled():
    with pytest.raises(ConfigError, match=r"registry\.server"):
        Cluster.parse({"registry": {"server": "model-registry:8080"}})


def test_the_task_stages_registers_and_writes_the_card(exported, evaluation, serve_registry, tmp_path):
    bundle, judged = dsl.Model(uri=str(exported.path)), dsl.Artifact(uri=str(evaluation))
    card, models = dsl.Markdown(uri=str(tmp_path / "out" / "card")), tmp_path / "models"
    with serve_registry() as (url, server):
        for _ in range(2):  # a repeated task changes nothing
            register.python_func(bundle, judged, CONFIG, card, server=url, name="moles", models=str(models))
        (version,), (artifacts,) = server.versions.values(), server.artifacts.values()
        saved, doc = artifacts.values()
        assert saved["uri"] == str(models / version["name"])
        assert doc["uri"] == card.uri
        assert "| ROC-AUC | 0.9" in (tmp_path / "out" / "card").read_text()
        served = tf.saved_model.load(str(models / version["name"] / "1"))
        assert "serving_default" in served.signatures
        server.fail["GET", "/registered_models"] = [(500, {"message": "boom"})]
        with pytest.raises(RegistryError, match="the registry failed"):
            register.python_func(bundle, judged, CONFIG, card, server=url)
        register.python_func(bundle, judged, CONFIG, card, server=url)
    assert server.artifacts["2"]["1"]["uri"] == str(exported.path)
