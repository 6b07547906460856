"""What a person reads when an API server says no, and what is asked again."""

import pytest

from components.common.runtime.errors import ConfigError
from pipelines.cluster.connection import Connection
from pipelines.cluster.errors import ClusterError, api_call
from pipelines.cluster.retry import read

HEALTH = "/apis/v2beta1/healthz"


def nodes(connection):
    return read("listing nodes", connection.core.list_node)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "token has expired"),
        (403, "ask for the role"),
        (404, "check the name"),
        (409, "exists already"),
        (410, "dropped that part"),
    ],
)
def test_a_refusal_is_final_and_says_what_to_do(cluster, connection, status, words):
    cluster.on("GET", "/api/v1/nodes", (status, {"message": "nodes is forbidden"}))
    with pytest.raises(ClusterError, match=f"listing nodes: HTTP {status}, nodes is forbidden") as caught:
        nodes(connection)
    assert words in str(caught.value)
    assert caught.value.status == status
    assert len(cluster.requests("GET", "/nodes")) == 1


@pytest.mark.parametrize(
    "body",
    [
        {"error_message": "Failed to create the version.", "error_details": "a version of that name is there"},
        {"code": 6, "message": "Failed to create the version.", "details": [{"@type": "x"}]},
        {"error": "Failed to create the version."},
    ],
)
def test_every_way_in_which_the_servers_say_it_is_read(cluster, connection, body):
    cluster.on("GET", "/api/v1/nodes", (409, body))
    with pytest.raises(ClusterError, match=r"HTTP 409, Failed to create the version\."):
        nodes(connection)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_reads_are_asked_again_when_that_can_help(cluster, connection, status):
    busy = (status, {"message": "busy"}, {"Retry-After": "0"})
    cluster.on("GET", "/api/v1/nodes", busy, busy, (200, {"items": []}))
    assert nodes(connection).items == []
    assert len(cluster.requests("GET", "/nodes")) == 3


def test_reads_give_up_in_the_end(cluster, connection):
    cluster.on("GET", "/api/v1/nodes", (503, {"message": "starting"}))
    with pytest.raises(ClusterError, match="HTTP 503, starting"):
        nodes(connection)
    assert len(cluster.requests("GET", "/nodes")) == 4


def test_a_dropped_connection_is_asked_again(cluster, connection, drop):
    cluster.on("GET", "/api/v1/nodes", drop, (200, {"items": []}))
    assert nodes(connection).items == []


def test_no_server_at_all_is_one_clear_line(cluster):
    with pytest.raises(ClusterError, match="cannot be reached") as caught:
        _ = Connection(host="http://127.0.0.1:1").kfp
    assert "port-forward" in str(caught.value)


def test_a_redirect_to_a_sign_in_page_is_not_followed(cluster, connection, raw):
    cluster.on("GET", HEALTH, raw(status=302, headers={"Location": "/dex/auth"}))
    with pytest.raises(ClusterError, match=r"HTTP 302|sign-in page"):
        _ = connection.multi_user
    assert not cluster.requests("GET", "/dex")


def test_an_html_answer_is_not_shown(cluster, connection, raw):
    cluster.on("GET", "/api/v1/nodes", raw(b"<html>sign in</html>", status=403, kind="text/html"))
    with pytest.raises(ClusterError, match="HTTP 403") as caught:
        nodes(connection)
    assert "<html>" not in str(caught.value)


def test_tokens_are_sent_but_never_shown(cluster, connection, caplog, capsys):
    said = "Bearer kfp-token-0123456789 is bad, password=hunter22, cookie: session=abcdef"
    cluster.on("GET", HEALTH, (401, {"message": said}, {"Set-Cookie": "authservice_session=topsecret"}))
    with pytest.raises(ClusterError) as caught:
        _ = connection.multi_user
    shown = str(caught.value) + caplog.text + "".join(capsys.readouterr())
    assert not any(word in shown for word in ("kfp-token", "hunter22", "abcdef", "topsecret"))
    assert cluster.seen[0].headers["authorization"] == "Bearer kfp-token-0123456789"


def test_the_kubeconfig_token_goes_to_kubernetes_alone(cluster, connection):
    cluster.on("GET", "/api/v1/nodes", (200, {"items": []}))
    nodes(connection)
    assert cluster.requests("GET", "/nodes")[0].headers["authorization"] == "Bearer kube-token-0123456789"


def test_secrets_come_from_files_too(cluster, tmp_path):
    file = tmp_path / "token"
    file.write_text("from-file-0123456789\n")
    assert Connection(host=cluster.url, token_file=file).multi_user is False
    assert cluster.seen[-1].headers["authorization"] == "Bearer from-file-0123456789"
    with pytest.raises(ConfigError, match="--token-file"):
        _ = Connection(host=cluster.url, token_file=tmp_path / "none").kfp


def test_the_namespace_is_the_flag_the_variable_or_the_context(cluster, monkeypatch):
    assert Connection(host=cluster.url).namespace == "derm"
    monkeypatch.setenv("LESIONFLOW_NAMESPACE", "lab")
    assert Connection(host=cluster.url).namespace == "lab"
    assert Connection(host=cluster.url, namespace_flag="own").namespace == "own"


def test_without_a_kubeconfig_there_is_one_clear_line(cluster, monkeypatch, tmp_path):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(ClusterError, match="kubeconfig"):
        _ = Connection(host=cluster.url).core


def test_kfps_own_word_on_a_missing_kubeconfig_is_not_printed(monkeypatch, tmp_path, capfd):
    # the library reads KUBECONFIG once, when it is imported
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "none"))
    with pytest.raises(ClusterError, match="cannot be reached"):
        _ = Connection().kfp
    assert "kube config" not in "".join(capfd.readouterr())


def test_errors_of_the_client_itself_are_told_in_one_line():
    with pytest.raises(ClusterError, match="saying it: two lines"), api_call("saying it"):
        raise ValueError("two\nlines")
