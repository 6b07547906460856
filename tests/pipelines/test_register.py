"""`lesionflow register`, against a registry on loopback."""

import json
import shutil
import socket
import subprocess
import sys

import pytest

from components.common.artifacts.folder import new_artifact, open_artifact
from components.common.artifacts.metrics import load_metrics
from pipelines.cli.main import main


@pytest.fixture(scope="module")
def evaluation(exported, evaluated, tmp_path_factory):
    return evaluated(tmp_path_factory.mktemp("judged") / "evaluation", exported.path)


@pytest.fixture(scope="module")
def figures(evaluation):
    return load_metrics(evaluation / "metrics.json")


@pytest.fixture
def command(exported, evaluation):
    def make(url, *more):
        what = ["register", str(exported.path), "--evaluation", str(evaluation)]
        return [*what, "--server", url, "--uri", "gs://bucket/lesionflow/1", *more]

    return make


def plain(record):
    """Custom properties as Python values, as the registry's UI shows them."""
    kinds = {
        "MetadataStringValue": "string_value",
        "MetadataDoubleValue": "double_value",
        "MetadataIntValue": "int_value",
        "MetadataBoolValue": "bool_value",
    }
    return {name: value[kinds[value["metadataType"]]] for name, value in record["customProperties"].items()}


@pytest.mark.parametrize("api", ["v1", "v1alpha3"])
def test_a_bundle_becomes_model_version_and_artifacts_with_figures_and_hashes(
    exported, command, figures, api, capsys, serve_registry
):
    card = "gs://bucket/lesionflow/1/assets.extra/model_card.md"
    with serve_registry(api) as (url, registry):
        assert main(command(url, "--card-uri", card)) == 0
    (model,), (version,) = registry.models.values(), registry.versions.values()
    bundle = open_artifact(exported.path, "bundle")
    assert model["name"] == "lesionflow"
    assert version["name"] == bundle.digest[:8]  # this model's environment records no commit
    known = plain(version)
    assert known["bundle_digest"] == bundle.digest
    assert known["policy_id"] == exported.policy_id
    auc = figures.roc_auc
    assert (known["roc_auc"], known["roc_auc_lower"], known["roc_auc_upper"]) == (auc.value, auc.lower, auc.upper)
    assert known["sensitivity"] == figures.sensitivity.value
    assert known["calibration_slope_upper"] == figures.calibration.slope.upper
    assert known["test_images"] == str(figures.n)
    assert f"ROC-AUC {auc.value:.3f} ({auc.lower:.3f} to {auc.upper:.3f})" in version["description"]
    saved, doc = registry.artifacts[version["id"]].values()
    assert (saved["uri"], saved["modelFormatName"], saved["artifactType"]) == (
        "gs://bucket/lesionflow/1",
        "tensorflow",
        "model-artifact",
    )
    assert saved["state"] == doc["state"] == "LIVE"
    assert (doc["uri"], doc["artifactType"]) == (card, "doc-artifact")
    assert f"lesionflow {version['name']}: registered (model 1, version 1)" in capsys.readouterr().out


def test_the_same_version_twice_is_found_and_a_half_done_one_completed(command, capsys, serve_registry):
    with serve_registry() as (url, registry):
        registry.fail["POST", "/model_versions/1/artifacts"] = [(503, {"message": "database is away"})]
        assert main(command(url)) == 1
        assert "the registry failed (503" in (error := capsys.readouterr().err)
        assert "run the same command again, nothing is doubled" in error
        assert main(command(url)) == 0
        assert ": completed (model 1, version 1)" in capsys.readouterr().out
        assert main(command(url)) == 0
        assert ": already there (model 1, version 1)" in capsys.readouterr().out
        assert [len(one) for one in (registry.models, registry.versions, registry.artifacts["1"])] == [1, 1, 1]


def test_a_version_of_another_bundle_is_never_overwritten(
    exported, evaluated, command, tmp_path, capsys, serve_registry
):
    other = evaluated(tmp_path / "evaluation", exported.path, seed=2)
    with serve_registry() as (url, registry):
        assert main(command(url, "--version", "7")) == 0
        before = json.dumps(registry.versions)
        again = command(url, "--version", "7")
        again[again.index("--evaluation") + 1] = str(other)
        assert main(again) == 1
        assert "is registered with evaluation" in (error := capsys.readouterr().err)
        assert "a version never changes: give another --version" in error
        registry.versions["1"]["customProperties"]["bundle_digest"]["string_value"] = "0" * 64
        assert main(command(url, "--version", "7")) == 1
        assert "is registered with bundle 000000000000" in capsys.readouterr().err
        registry.versions["1"]["customProperties"]["bundle_digest"]["string_value"] = json.loads(before)["1"][
            "customProperties"
        ]["bundle_digest"]["string_value"]
        assert json.dumps(registry.versions) == before


def test_a_version_that_someone_makes_in_between_counts_as_there(command, capsys, serve_registry):
    with serve_registry() as (url, registry):
        assert main(command(url)) == 0
        real, asked = registry.answer, []

        def once(method, path, query, body):
            if (method, path) == ("GET", "/registered_model") and not asked:
                asked.append(path)
                return 404, {"message": "not yet"}
            return real(method, path, query, body)

        registry.answer = once
        assert main(command(url)) == 0
        assert ("POST", f"{registry.base}/registered_models") in registry.requests[-6:]
        assert ": already there" in capsys.readouterr().out
        assert len(registry.models) == 1


def test_what_the_server_refuses_is_one_clear_line(command, tmp_path, capsys, serve_registry):
    def said(url, *more):
        assert main(command(url, *more)) == 1
        text = capsys.readouterr().err
        assert text.count("\n") == 1
        return text

    token = tmp_path / "token"
    token.write_text("secret\n")
    with serve_registry(token="secret") as (url, _):
        assert "asks for a token, none was given (401); give a valid one with --token-file" in said(url)
        assert main(command(url, "--token-file", str(token))) == 0
        capsys.readouterr()
        token.write_text("stale")
        assert "the token is not accepted (401)" in said(url, "--token-file", str(token))
    with serve_registry() as (url, registry):
        registry.fail["POST", "/registered_models"] = [
            (403, {"message": "viewer"}),
            (500, {"message": "boom"}),
            (400, {"message": "bad name"}),
            (409, {"message": "archived"}),
        ]
        assert "this token may not do that (403" in said(url)
        assert "the registry failed (500" in said(url)
        assert "refused (400" in said(url)
        assert "model 'lesionflow' is refused as a conflict" in said(url)
        assert not registry.models
    with serve_registry("v9") as (url, _):
        assert "does not serve the Model Registry API (v1, v1alpha3); expected the registry's address" in said(url)
    with serve_registry(page=b"<html>sign in</html>") as (url, _):
        assert "does not answer like a Model Registry" in said(url)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert f"http://127.0.0.1:{port}: cannot be reached" in said(f"http://127.0.0.1:{port}")


def test_an_address_or_file_that_cannot_be_meant_is_refused_before_anything_is_sent(command, tmp_path, capsys):
    for url in ("model-registry:8080", "ftp://host", "http://host/api/model_registry"):
        assert main(command(url)) == 2
        assert f"--server: received {url!r}; expected the registry's address" in capsys.readouterr().err
    assert main(command("http://me:hunter22@host")) == 2
    assert "hunter22" not in (err := capsys.readouterr().err)
    assert "--server: received 'http://***@host'; allowed: an address without a name or password" in err
    assert main(command("http://host", "--token-file", str(tmp_path / "none"))) == 2
    assert "token file" in capsys.readouterr().err
    assert main(command("https://host", "--ca", str(tmp_path / "none"))) == 2
    assert "--ca: received" in capsys.readouterr().err


def test_what_is_registered_needs_neither_kfp_nor_tensorflow():
    heavy = ["kfp", "tensorflow", "keras", "mr_openapi"]
    code = (
        f"import pipelines.registry.publishing, pipelines.registry.client, sys; print(set({heavy}) & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_bundle_whose_evaluation_misses_its_gate_or_was_edited_is_not_registered(
    exported, evaluation, evaluated, command, tmp_path, capsys, serve_registry
):
    missed = evaluated(tmp_path / "missed", exported.path, ["auc >= 0.9999"])
    with new_artifact(tmp_path / "edited", "evaluation", open_artifact(evaluation, "evaluation").made_from) as folder:
        shutil.copytree(evaluation, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("artifact.json"))
        text = (folder / "metrics.json").read_text()
        (folder / "metrics.json").write_text(text.replace('"malignant": ', '"malignant": 1', 1))
    with serve_registry() as (url, registry):
        for other, said in ((missed, "missed: auc >= 0.9999"), (tmp_path / "edited", "metrics.json: ")):
            again = command(url)
            again[again.index("--evaluation") + 1] = str(other)
            assert main(again) == 1
            assert said in capsys.readouterr().err
        assert not registry.models
