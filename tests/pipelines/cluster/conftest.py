"""A local server that speaks the paths of the KFP v2beta1 and Kubernetes APIs, and a connection to it."""

import datetime
import ipaddress
import json
import re
import ssl
import threading
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pipelines.cluster import retry
from pipelines.cluster.connection import Connection

RUN = "11111111-2222-3333-4444-555555555555"


@dataclass
class Seen:
    method: str
    path: str
    query: dict
    body: object
    headers: dict


@dataclass
class FakeCluster:
    """Answers by `METHOD path-pattern`; an answer is (status, JSON), a callable, or a list used up one by one."""

    routes: dict = field(default_factory=dict)
    seen: list = field(default_factory=list)
    counts: dict = field(default_factory=lambda: defaultdict(int))
    url: str = ""

    def on(self, method, pattern, *answers):
        self.routes[(method, re.compile(pattern + "$"))] = list(answers)

    def answer(self, request):
        for (method, pattern), answers in reversed(self.routes.items()):
            if method == request.method and pattern.match(request.path):
                self.counts[(method, pattern.pattern[:-1])] += 1
                chosen = answers.pop(0) if len(answers) > 1 else answers[0]
                return chosen(request) if callable(chosen) else chosen
        return 404, {"message": f"no route for {request.method} {request.path}"}

    def requests(self, method, part=""):
        return [item for item in self.seen if item.method == method and part in item.path]


class Raw:
    """An answer sent as bytes: whole, cut (a promised length that never comes), or none at all."""

    def __init__(self, data=b"", status=200, cut=False, kind="text/plain", headers=None, chunked=False):
        self.chunked = chunked
        self.data, self.status, self.cut, self.kind, self.headers = data, status, cut, kind, headers or {}


DROP = Raw(cut=True, status=0)


def _handler(fake):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def _serve(self):
            parts = urlsplit(self.path)
            raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            try:
                body = json.loads(raw) if raw else None
            except ValueError:
                body = raw
            path = parts.path.replace("%3A", ":").replace("//", "/")
            request = Seen(self.command, path, parse_qs(parts.query), body, dict(self.headers))
            fake.seen.append(request)
            self._send(fake.answer(request))

        do_GET = do_POST = do_HEAD = do_PATCH = do_DELETE = _serve

        def _send(self, answer):
            if not isinstance(answer, Raw):
                status, value, *rest = answer
                headers = rest[0] if rest else {}
                answer = Raw(json.dumps(value).encode(), status, kind="application/json", headers=headers)
            if answer.status == 0:
                self.close_connection = True
                return
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.kind)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if answer.chunked:
                self._send_chunks(answer)
                return
            self.send_header("Content-Length", str(len(answer.data) + (100 if answer.cut else 0)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.data)
            if answer.cut:
                self.close_connection = True

        def _send_chunks(self, answer):
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for at in range(0, len(answer.data), 40):
                part = answer.data[at : at + 40]
                self.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
            if answer.cut:
                self.close_connection = True
            else:
                self.wfile.write(b"0\r\n\r\n")

    return Handler


@contextmanager
def serving(fake, tls=None):
    """Runs the server, with TLS if a server's context is given."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(fake))
    server.daemon_threads = True
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    fake.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)


@dataclass
class Certificates:
    """A certificate authority with one server and one client, as files."""

    ca: Path
    server: tuple
    client: tuple

    def context(self, *, ask_client):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.server)
        if ask_client:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.ca)
        return context


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    begin = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)

    def name(text):
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

    def make(text, issuer=None, issuer_key=None):
        key = ec.generate_private_key(ec.SECP256R1())
        made = (
            x509.CertificateBuilder()
            .subject_name(name(text))
            .issuer_name(issuer.subject if issuer else name(text))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(begin + datetime.timedelta(days=10))
            .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
            )
            .sign(issuer_key or key, hashes.SHA256())
        )
        files = folder / f"{text}.crt", folder / f"{text}.key"
        files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
        files[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return made, key, files

    ca, ca_key, ca_files = make("ca")
    return Certificates(ca_files[0], make("server", ca, ca_key)[2], make("client", ca, ca_key)[2])


@pytest.fixture
def serve():
    return serving


@pytest.fixture
def make_fake():
    return FakeCluster


@pytest.fixture
def write_kubeconfig(tmp_path, monkeypatch):
    def write(server, user, **cluster):
        config = tmp_path / "kubeconfig"
        body = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": server, **cluster}}],
            "users": [{"name": "test", "user": user}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": "derm"}}],
        }
        config.write_text(json.dumps(body))
        monkeypatch.setenv("KUBECONFIG", str(config))
        # the library reads the variable once, when it is imported
        monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(config))

    return write


@pytest.fixture
def cluster(monkeypatch, tmp_path, write_kubeconfig):
    fake = FakeCluster()
    for name in (
        "KUBERNETES_SERVICE_HOST",
        "KF_PIPELINES_ENDPOINT",
        "LESIONFLOW_NAMESPACE",
        "HTTP_PROXY",
        "http_proxy",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LESIONFLOW_KFP_TOKEN", "kfp-token-0123456789")
    monkeypatch.setattr(retry, "DELAYS_S", (0.01, 0.01, 0.01))
    monkeypatch.setattr("kfp.Client._LOCAL_KFP_CONTEXT", str(tmp_path / "context.json"))
    fake.on("GET", "/apis/v2beta1/healthz", (200, {"multi_user": False}))
    with serving(fake):
        write_kubeconfig(fake.url, {"token": "kube-token-0123456789"})
        yield fake


@pytest.fixture
def connection(cluster):
    return Connection(host=cluster.url)


@pytest.fixture
def run_id():
    return RUN


@pytest.fixture
def raw():
    return Raw


@pytest.fixture
def drop():
    return DROP


@pytest.fixture
def make_pod():
    return pod


@pytest.fixture
def expiring(tmp_path):
    """A token file, and an answer of a server that refuses its first token and has it renewed meanwhile."""
    token = tmp_path / "token"
    token.write_text("old-token-0123")

    def answer(request):
        if request.headers["authorization"] == "Bearer old-token-0123":
            token.write_text("new-token-0123")
            return 401, {"message": "expired"}
        return 200, run("SUCCEEDED")

    return token, answer


@pytest.fixture
def make_run():
    return run


NEVER, NOT_YET = "0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z"


def entry(name, state, start, end, number):
    """One task of a run as a real server lists it: no error, and no state for one that never ran."""
    body = {"run_id": RUN, "task_id": f"task-{number}", "create_time": "2026-11-20T09:59:00Z"}
    body |= {"start_time": start, "end_time": end}
    if name is None:  # the launcher's own
        return {**body, "execution_id": str(number)}
    body |= {"display_name": name, "child_tasks": [{"pod_name": f"wf-{number}"}]}
    # the history has a state that is not told, too
    history = [{"update_time": start}, {"update_time": end, **({"state": state} if state else {})}]
    return {**body, "state_history": history, **({"state": state} if state else {})}


def entries(name, state, minute, first):
    """The entries of one step; `CACHED` and None (never ran) are told by what is missing."""
    start, end = f"2026-11-20T10:{minute:02}:00Z", f"2026-11-20T10:{minute + 2:02}:05Z"
    if state is None:
        return [entry(part, None, start, start, first + n) for n, part in enumerate((f"{name}-driver", name))]
    drivers = [(f"{name}-driver", "SUCCEEDED", start, start), (f"{name}-driver(0)", "SUCCEEDED", start, start)]
    if state == "CACHED":
        shown = [(name, "SUCCEEDED"), (f"{name}(0)", "SUCCEEDED"), ("executor", "SKIPPED")]
        rows = drivers + [(part, one, start, start) for part, one in shown]
    else:
        end = NEVER if state == "RUNNING" else end
        rows = drivers + [(part, state, start, end) for part in (name, f"{name}(0)", "executor", "executor(0)")]
        rows.append((None, None, start, end))
    return [entry(*row, first + n) for n, row in enumerate(rows)]


def run(state="RUNNING", steps=None):
    """A run as GET /apis/v2beta1/runs/ID answers; `steps` without an entry have not been listed yet."""
    going = state not in ("SUCCEEDED", "FAILED", "CANCELED")
    groups = ("wf", "wf(0)", "root", "root(0)", "steps", "steps(0)", "root-driver", "steps-driver", "steps.onExit")
    end = NEVER if going else "2026-11-20T11:00:00Z"
    details = [entry(name, state, "2026-11-20T09:59:30Z", end, n) for n, name in enumerate(groups)]
    for place, (name, step_state) in enumerate((steps or {}).items()):
        details += entries(name, step_state, 3 * place, 100 * (place + 1))
    return {
        "experiment_id": "e1",
        "run_id": RUN,
        "display_name": "first",
        "storage_state": "AVAILABLE",
        "runtime_config": {"parameters": {"metadata": "gs://b/t.csv", "images": ["gs://b/i"]}},
        "service_account": "lesionflow",
        "state": state,
        "state_history": [{"update_time": "2026-11-20T09:59:00Z", "state": "PENDING"}, {"update_time": NOT_YET}],
        "created_at": "2026-11-20T09:59:00Z",
        "scheduled_at": "2026-11-20T09:59:00Z",
        "finished_at": NOT_YET if going else "2026-11-20T11:00:01Z",
        "run_details": {"task_details": sorted(details, key=lambda one: one["task_id"])},
    }


def pod(step="train", attempt=0, phase="Running", name=None, **more):
    """A pod as KFP's workflow engine makes it; `terminated`, `waiting`, `conditions`, `gpus`, `node`, ..."""
    state = {"running": {"startedAt": "2026-11-20T10:00:00Z"}}
    if "terminated" in more:
        state = {"terminated": more["terminated"]}
    if "waiting" in more:
        state = {"waiting": more["waiting"]}
    inside = "wf(0).root(0).steps.onExit(0)" if step == "report-end" else "wf(0).root(0).steps(0)"
    limits = {"cpu": "8", "memory": "32Gi", **({"nvidia.com/gpu": more["gpus"]} if "gpus" in more else {})}
    statuses = [
        {
            "name": "wait",
            "image": "argo",
            "imageID": "",
            "ready": True,
            "restartCount": 0,
            "state": more.get("wait", {}),
        },
        {"name": "main", "image": "img", "imageID": "", "ready": True, "restartCount": 0, "state": state},
    ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name or f"wf-{step}-{attempt}",
            "creationTimestamp": f"2026-11-20T10:0{attempt}:00Z",
            "labels": {
                "pipeline/runid": RUN,
                "lesionflow/step": step,
                "pipelines.kubeflow.org/v2_component": "true",
                "workflows.argoproj.io/completed": "false" if phase in ("Pending", "Running") else "true",
                "workflows.argoproj.io/workflow": "wf",
            },
            "annotations": {
                "kubectl.kubernetes.io/default-container": "main",
                "pipelines.kubeflow.org/runtime-role": "launcher",
                "workflows.argoproj.io/node-id": f"wf-{step}-{attempt}",
                "workflows.argoproj.io/node-name": more.get("path", f"{inside}.{step}(0).executor({attempt})"),
            },
        },
        "spec": {
            "containers": [{"name": "main", "resources": {"limits": limits}}],
            "nodeName": more.get("node", "gpu-1"),
        },
        "status": {
            "phase": phase,
            "conditions": more.get("conditions", []),
            "containerStatuses": statuses if phase != "Pending" or "waiting" in more else [],
            **{key: more[key] for key in ("reason", "message") if key in more},
        },
    }
