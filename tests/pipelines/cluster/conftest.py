"""A local server that speaks the paths of the KFP v2beta1 and Kubernetes APIs, and a connection to it."""

import json
import re
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

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
            path = parts.path.replace("%3A", ":")
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


@pytest.fixture
def cluster(monkeypatch, tmp_path):
    fake = FakeCluster()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(fake))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    fake.url = f"http://127.0.0.1:{server.server_port}"
    config = tmp_path / "kubeconfig"
    config.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "test",
                "clusters": [{"name": "test", "cluster": {"server": fake.url}}],
                "users": [{"name": "test", "user": {"token": "kube-token-0123456789"}}],
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": "derm"}}],
            }
        )
    )
    for name in (
        "KUBERNETES_SERVICE_HOST",
        "KF_PIPELINES_ENDPOINT",
        "LESIONFLOW_NAMESPACE",
        "HTTP_PROXY",
        "http_proxy",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KUBECONFIG", str(config))
    monkeypatch.setenv("LESIONFLOW_KFP_TOKEN", "kfp-token-0123456789")
    monkeypatch.setattr(retry, "DELAYS_S", (0.01, 0.01, 0.01))
    monkeypatch.setattr("kfp.Client._LOCAL_KFP_CONTEXT", str(tmp_path / "context.json"))
    fake.on("GET", "/apis/v2beta1/healthz", (200, {"multi_user": False}))
    yield fake
    server.shutdown()
    server.server_close()
    thread.join(timeout=5)


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
def make_run():
    return run


def run(state="RUNNING", steps=None, error=""):
    """A run as GET /apis/v2beta1/runs/ID answers."""
    details = [
        {"display_name": "root-driver", "state": "SUCCEEDED", "task_id": "0"},
        {"display_name": "executor", "state": "RUNNING", "task_id": "1"},
    ]
    for name, step_state in (steps or {}).items():
        state_of, message = step_state if isinstance(step_state, tuple) else (step_state, "")
        details.append(
            {
                "display_name": name,
                "state": state_of,
                "task_id": name,
                "start_time": "2026-11-20T10:00:00Z",
                "end_time": "2026-11-20T10:02:05Z" if state_of != "RUNNING" else None,
                **({"error": {"code": 13, "message": message}} if message else {}),
            }
        )
    body = {"run_id": RUN, "display_name": "first", "state": state, "run_details": {"task_details": details}}
    return {**body, **({"error": {"code": 13, "message": error}} if error else {})}


def pod(step="train", attempt=0, phase="Running", name=None, **more):
    """A pod as KFP's workflow engine makes it; `terminated`, `waiting`, `conditions`, `gpus`, `node`, ..."""
    state = {"running": {"startedAt": "2026-11-20T10:00:00Z"}}
    if "terminated" in more:
        state = {"terminated": more["terminated"]}
    if "waiting" in more:
        state = {"waiting": more["waiting"]}
    limits = {"cpu": "8", "memory": "32Gi", **({"nvidia.com/gpu": more["gpus"]} if "gpus" in more else {})}
    statuses = [
        {"name": "wait", "image": "argo", "imageID": "", "ready": True, "restartCount": 0, "state": {"running": {}}},
        {"name": "main", "image": "img", "imageID": "", "ready": True, "restartCount": 0, "state": state},
    ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name or f"wf-{step}-{attempt}",
            "creationTimestamp": f"2026-11-20T10:0{attempt}:00Z",
            "labels": {"pipeline/runid": RUN, "lesionflow/step": step},
            "annotations": {"workflows.argoproj.io/node-name": more.get("path", f"wf.root.{step}.executor({attempt})")},
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
