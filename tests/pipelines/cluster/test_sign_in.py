"""Every way in which a kubeconfig signs in reaches Kubeflow Pipelines through the API server's proxy."""

import json
import sys

import pytest

from pipelines.cluster.connection import Connection

PROXY = "/api/v1/namespaces/kubeflow/services/ml-pipeline:http/proxy"
RUNS = "/apis/v2beta1/runs"


def exec_plugin(folder, token):
    """A sign-in program as gke-gcloud-auth-plugin or aws-iam-authenticator is one; its tokens have expired at once."""
    script = folder / "plugin.py"
    status = {"token": token, "expirationTimestamp": "2020-01-01T00:00:00Z"}
    credential = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}
    script.write_text(f"print({json.dumps(json.dumps(credential))})")
    return {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": sys.executable,
            "args": [str(script)],
            "interactiveMode": "Never",
        }
    }


@pytest.fixture
def proxied(cluster, monkeypatch):
    """A cluster that knows Kubeflow Pipelines' paths behind its proxy only, as a real one does."""
    monkeypatch.delenv("LESIONFLOW_KFP_TOKEN")
    cluster.on("GET", "/apis/v2beta1/healthz", (404, {"message": "the server could not find the requested resource"}))
    cluster.on("GET", f"{PROXY}/apis/v2beta1/healthz", (200, {"multi_user": False}))
    cluster.on("GET", f"{PROXY}{RUNS}", (200, {"runs": []}))
    cluster.on("GET", "/api/v1/namespaces/derm/pods", (200, {"metadata": {}, "items": []}))
    return cluster


def ask(connection):
    """More requests than one: the second is sent with a renewed token."""
    assert connection.multi_user is False
    assert not connection.kfp.list_runs().runs
    assert not connection.kfp.list_runs().runs
    assert connection.get_json("/api/v1/namespaces/derm/pods")["items"] == []


@pytest.mark.parametrize("kind", ["token", "exec plugin"])
def test_tokens_keep_the_proxys_path(proxied, write_kubeconfig, tmp_path, kind):
    user = {"token": "user-token-0123456789"} if kind == "token" else exec_plugin(tmp_path, "user-token-0123456789")
    write_kubeconfig(proxied.url, user)
    ask(Connection())
    assert {request.headers.get("authorization") for request in proxied.seen} == {"Bearer user-token-0123456789"}
    assert len(proxied.requests("GET", f"{PROXY}{RUNS}")) == 2


def test_a_client_certificate_keeps_the_proxys_path(proxied, certificates, serve, make_fake, write_kubeconfig):
    secured = make_fake(routes=proxied.routes)
    with serve(secured, certificates.context(ask_client=True)):
        write_kubeconfig(
            secured.url,
            {"client-certificate": str(certificates.client[0]), "client-key": str(certificates.client[1])},
            **{"certificate-authority": str(certificates.ca)},
        )
        ask(Connection())
    assert len(secured.requests("GET", f"{PROXY}{RUNS}")) == 2
    assert not any("authorization" in request.headers for request in secured.seen)
