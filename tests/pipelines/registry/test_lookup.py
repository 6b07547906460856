"""A registered version in place of a bundle's folder: validate, predict and the check of the pipeline, on loopback."""

import json
import shutil
import subprocess

import pytest

from components.common.artifacts.folder import open_artifact
from components.common.artifacts.validation import open_validation
from components.common.runtime.errors import ArtifactError, ConfigError
from pipelines.check import check_validation
from pipelines.cli.main import main
from pipelines.cluster_file import Cluster
from pipelines.form_dag import VALIDATION
from pipelines.ir import executors, load_documents, placement
from pipelines.registry.client import RegistryError, Server
from pipelines.registry.lookup import Source, source_of


@pytest.fixture(scope="module")
def place(exported, evaluated, tmp_path_factory):
    """A folder with a bundle and its evaluation, as a store has them."""
    root = tmp_path_factory.mktemp("store")
    shutil.copytree(exported.path, root / "bundle")
    evaluated(root / "evaluation", root / "bundle")
    return root


@pytest.fixture
def registered(place, serve_registry):
    """(url, registry) with the version `1 a` of the model `moles`."""
    with serve_registry() as (url, registry):
        command = ["register", str(place / "bundle"), "--evaluation", str(place / "evaluation"), "--server", url]
        command += ["--uri", "gs://served/1", "--bundle-uri", str(place / "bundle")]
        command += ["--evaluation-uri", str(place / "evaluation"), "--name", "moles", "--version", "1 a"]
        assert main(command) == 0
        yield url, registry


def test_a_version_leads_to_its_bundle_its_digest_and_its_evaluation(registered, place):
    url, registry = registered
    found = source_of("model-registry://moles/1%20a", Server(url))
    digest = open_artifact(place / "bundle", "bundle").digest
    assert found == Source(str(place / "bundle"), digest, str(place / "evaluation"))
    assert source_of("gs://bucket/bundle") == Source("gs://bucket/bundle")
    for record in registry.versions.values():  # registered by somebody else: what servers read is taken
        record["customProperties"] = {}
    assert source_of("model-registry://moles/1 a", Server(url)) == Source("gs://served/1")


def test_the_store_of_kubeflow_pipelines_is_reached_as_s3(registered):
    url, registry = registered
    for record in registry.versions.values():
        record["customProperties"]["bundle_uri"]["string_value"] = "minio://mlpipeline/v2/bundle"
    assert source_of("model-registry://moles/1 a", Server(url)).uri == "s3://mlpipeline/v2/bundle"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("model-registry://moles/2", r"model 'moles' has no version '2'; its versions: 1 a"),
        ("model-registry://warts/1", r"no registered model 'warts'"),
    ],
)
def test_what_is_not_registered_is_named_with_what_is(registered, given, said):
    with pytest.raises(RegistryError, match=said):
        source_of(given, Server(registered[0]))


@pytest.mark.parametrize("given", ["model-registry://moles", "model-registry:///1", "model-registry://host/moles/1"])
def test_another_form_is_refused(given):
    with pytest.raises(ConfigError, match="allowed: model-registry://NAME/VERSION"):
        source_of(given, Server("http://127.0.0.1:1"))


def test_a_clinic_validates_a_registered_version_beside_its_internal_test(
    registered, clinic, place, tmp_path, monkeypatch
):
    flags = ["--metadata", str(clinic / "table.csv"), "--images", str(clinic / "images"), "--out", str(tmp_path / "v")]
    settings = ["--set", "resamples=200", "--set", "cases=0"]
    assert main(["validate", "model-registry://moles/1 a", "--server", registered[0], *flags, *settings]) == 0
    _, record, _ = open_validation(tmp_path / "v")
    assert record.bundle == open_artifact(place / "bundle", "bundle").digest
    assert record.there is not None
    monkeypatch.setenv("LESIONFLOW_REGISTRY", registered[0])
    image = str(clinic / "images" / "c1.jpg")
    assert main(["predict", "model-registry://moles/1 a", image]) == 0


def test_without_a_registry_the_message_says_how_one_is_given(clinic, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("LESIONFLOW_REGISTRY", raising=False)
    flags = ["--metadata", str(clinic / "table.csv"), "--images", str(clinic / "images"), "--out", str(tmp_path / "v")]
    assert main(["validate", "model-registry://moles/1", *flags]) == 2
    assert "no registry is known; give --server URL" in capsys.readouterr().err


def test_a_bundle_that_was_replaced_in_the_store_is_refused(registered, clinic, place, tmp_path, capsys):
    for record in registered[1].versions.values():
        record["customProperties"]["bundle_digest"]["string_value"] = "a" * 64
    image = str(clinic / "images" / "c1.jpg")
    assert main(["predict", "model-registry://moles/1 a", image, "--server", registered[0]]) == 1
    assert "expected aaaaaaaaaaaa" in capsys.readouterr().err


def test_the_check_of_the_pipeline_hands_place_and_digest_on(registered, clinic, place, monkeypatch):
    monkeypatch.setenv("LESIONFLOW_REGISTRY", registered[0])
    values = {"bundle": "model-registry://moles/1 a", "metadata": str(clinic / "table.csv")}
    values["images"] = [str(clinic / "images")]
    _, config = check_validation(values)
    digest = open_artifact(place / "bundle", "bundle").digest
    assert (config["bundle"], config["bundle_digest"]) == (str(place / "bundle"), digest)
    assert config["internal"] == str(place / "evaluation")
    with pytest.raises(ConfigError, match="bundle_digest: received bbbbbbbbbbbb"):
        check_validation({**values, "bundle_digest": "b" * 64})


def test_the_check_of_a_cluster_with_a_registry_can_ask_it():
    address = "http://model-registry-service.kubeflow.svc:8080"
    cluster = Cluster.parse({"registry": {"server": address, "token_secret": "registry-token"}})
    spec, platform = load_documents(VALIDATION.compile(cluster))
    container = executors(spec)["check"]
    assert container["image"] == executors(spec)["validate"]["image"]
    assert {"name": "LESIONFLOW_REGISTRY", "value": address} in container["env"]
    (secret,) = placement(platform)["check"]["secretAsVolume"]
    assert secret["secretName"] == "registry-token"


def test_a_key_of_the_cluster_is_asked_of_every_bundle_that_is_validated(place, clinic, tmp_path, monkeypatch):
    spec, platform = load_documents(VALIDATION.compile(Cluster.parse({"bundle_key_secret": "bundle-key"})))
    mount = "/var/run/secrets/bundle-key"
    assert {"name": "LESIONFLOW_BUNDLE_KEY", "value": f"{mount}/key"} in executors(spec)["validate"]["env"]
    (secret,) = placement(platform)["validate"]["secretAsVolume"]
    assert (secret["secretName"], secret["mountPath"]) == ("bundle-key", mount)
    assert not Cluster.parse({"bundle_key_secret": "bundle-key"}).caches("validate") and Cluster().caches("validate")

    private, public = tmp_path / "private.pem", tmp_path / "key"
    subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-out", private], check=True)
    subprocess.run(["openssl", "ec", "-in", private, "-pubout", "-out", public], check=True, capture_output=True)
    bundle = shutil.copytree(place / "bundle", tmp_path / "bundle")
    monkeypatch.setenv("LESIONFLOW_BUNDLE_KEY", str(tmp_path / "absent"))
    with pytest.raises(ConfigError, match="bundle_key_secret: the secret has no entry `key`"):
        _validate_task(bundle, clinic, tmp_path)
    monkeypatch.setenv("LESIONFLOW_BUNDLE_KEY", str(public))
    with pytest.raises(ArtifactError, match="not signed, and a signature by"):
        _validate_task(bundle, clinic, tmp_path)
    assert main(["bundle", "sign", str(bundle), "--key", str(private)]) == 0
    _validate_task(bundle, clinic, tmp_path)
    assert json.loads((tmp_path / "validation" / "validation.json").read_text())["here"]["images"] == 12


def _validate_task(bundle, clinic, tmp_path):
    from kfp import dsl

    from components.ingest.config import IngestConfig
    from components.ingest.run import run as ingest
    from components.validate.component import validate

    ingest(IngestConfig(unlabelled="keep"), str(clinic / "table.csv"), [str(clinic / "images")], tmp_path / "index")
    config = {"bundle": str(bundle), "resamples": 200, "cases": 0}
    outputs = {"validation": dsl.Artifact, "report": dsl.HTML, "roc": dsl.ClassificationMetrics, "metrics": dsl.Metrics}
    made = {name: kind(uri=str(tmp_path / name)) for name, kind in outputs.items()}
    validate.python_func(index=dsl.Dataset(uri=str(tmp_path / "index")), config=config, **made)
