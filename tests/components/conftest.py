"""What the steps share in tests.

Real object stores on loopback, and everything a network does to them. Score sets that calibrate and evaluate
are both held against: random ones with every oddity, and real ones.
"""

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

import numpy as np
import pytest

from components.common.artifacts.estimate import GradedEstimate
from components.common.artifacts.metrics import SliceRow
from components.common.artifacts.scores import Scores
from components.common.statistics.numeric import sigmoid
from components.common.storage import retry
from components.common.storage import store as storage

BUCKET = "skin"
SETS = 200
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
            time.sleep(2 * retry.SILENCE_S)
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
def gcs(gcs_address):
    storage._store("gs://x").client.create_bucket(BUCKET, project="test")
    return _Store("gs", gcs_address)


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
        monkeypatch.setattr(retry, "FIRST_WAIT_S", 0.01)
        monkeypatch.setattr(storage, "_clients", {})
        return proxy

    yield call
    for proxy in proxies:
        proxy.shutdown()
        proxy.server_close()


@pytest.fixture(scope="session")
def bucket_name():
    return BUCKET


def score_set(seed):
    """Labels and probabilities: smooth, tied, two-valued or constant, 4 to 400 rows.

    One set in ten lacks a class, one in fifty is a single image.
    """
    rng = np.random.default_rng(seed)
    n = int(rng.choice([4, 20, 100, 400]))
    label = (rng.random(n) < rng.choice([0.1, 0.3, 0.5])).astype(np.int8)
    label[:2] = (0, 1)
    p = np.clip(rng.normal(0.3 + 0.25 * label, 0.2), 0.001, 0.999)
    kind = seed % 4
    if kind == 1:
        p = np.round(p, 1)
    if kind == 2:
        p = np.where(p > 0.4, 0.7, 0.2)
    if kind == 3 and seed % 8 == 3:
        p = np.full(n, 0.25)
    if seed % 10 == 9:
        label[:] = seed % 20 == 9
    return (label[:1], p[:1]) if seed % 50 == 49 else (label, p)


@pytest.fixture(scope="session", params=["random", pytest.param("real", marks=pytest.mark.real)])
def score_sets(request):
    """(label, probability) of each set; the real ones are as they are, and rounded until they tie."""
    if request.param == "random":
        return [score_set(seed) for seed in range(SETS)]
    scores = request.getfixturevalue("real_validation")(4.12)
    return [(scores.label, scores.probability), (scores.label, np.round(scores.probability, 2))]


def small_features(jpeg):
    """A dermoscopic image as 369 numbers: a 12 x 9 mosaic, colour quantiles of the whole and of its centre."""
    import simplejpeg

    pixels = simplejpeg.decode_jpeg(jpeg, min_height=19, min_width=25).astype(np.float32)  # an eighth of 200 x 150
    flat, centre = pixels.reshape(-1, 3), pixels[5:14, 7:18].reshape(-1, 3)
    return np.concatenate([
        pixels[:18, :24].reshape(9, 2, 12, 2, 3).mean((1, 3)).ravel(),
        np.quantile(flat, [0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98], axis=0).ravel(),
        np.quantile(centre, [0.05, 0.25, 0.5, 0.75, 0.95], axis=0).ravel(),
        centre.std(0), flat.std(0), centre.mean(0) - flat.mean(0),
    ])  # fmt: skip


@pytest.fixture(scope="session")
def real_validation():
    """Makes scores of HAM10000's validation images by a weak model trained on its train images.

    Logistic regression on `small_features`, ROC-AUC about 0.79. The argument is the malignant class weight
    used in training; the test split is not read.
    """
    import pandas as pd
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    shared = Path(os.environ.get("LESIONFLOW_SHARED", Path(__file__).parents[3] / "shared")) / "ham10000"
    if not shared.is_dir():
        pytest.skip("the reference data is not beside the checkout (../shared/ham10000)")
    table = pd.read_csv(shared / "golden_split.csv").query("split != 'test'")
    files = {path.stem: path for path in shared.glob("HAM10000_images_part_*/*.jpg")}
    features = np.array([small_features(files[name].read_bytes()) for name in table["image_id"]])
    train, label = (table["split"] == "train").to_numpy(), table["label"].to_numpy(np.int8)
    features = StandardScaler().fit(features[train]).transform(features)
    image, lesion = (table.loc[~train, name].to_numpy(np.str_) for name in ("image_id", "lesion_id"))

    def scored(weight):
        model = LogisticRegression(C=0.01, class_weight={0: 1, 1: weight}, max_iter=300)
        logit = model.fit(features[train], label[train]).decision_function(features[~train])
        return Scores(image, lesion, lesion, label[~train], logit, sigmoid(logit))

    return scored


@pytest.fixture(scope="session")
def graded():
    """Makes a figure of a slice from its value and interval; `few`: of too few images."""

    def make(value=None, lower=None, upper=None, *, few=False):
        return GradedEstimate(value=value, lower=lower, upper=upper, status="insufficient" if few else "ok")

    return make


@pytest.fixture(scope="session")
def slice_row(graded):
    """Makes a slice, each image a group of its own, from name, value, counts and the figures that it has."""

    def make(name, value, n, malignant, **figures):
        names = ("sensitivity", "specificity", "predicted_positive_rate", "roc_auc")
        found = dict.fromkeys(names, graded()) | figures
        return SliceRow(slice=name, value=value, n=n, malignant=malignant, groups=n, status="ok", **found)

    return make
