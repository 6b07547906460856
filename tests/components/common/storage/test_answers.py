"""What a store answers is told in its own words: one line, asked once. A stand-in on loopback answers."""

import base64
import gzip
import hashlib
import http.server
import json
import threading

import google_crc32c
import pytest

from components.common.runtime.errors import ConfigError, LesionflowError
from components.common.storage import retry, store
from components.common.storage.retry import StorageError


class _Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if not self.path.startswith("/storage/v1/b/b?"):  # Google's client asks for facts of the bucket now and then
            self.server.asked.append(f"{self.command} {self.path}")
        status, headers, body = self.server.answer(self.path)
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    """A server for both protocols; `server.answer(path)` gives status, headers and body."""
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    running.asked = []
    threading.Thread(target=running.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{running.server_address[1]}"
    monkeypatch.setattr(store, "_clients", {})
    monkeypatch.setattr(retry, "FIRST_WAIT_S", 0.01)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", address)
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "a")
    yield running
    running.shutdown()
    running.server_close()


def google(status, said):
    body = json.dumps({"error": {"code": status, "message": said}}).encode()
    return lambda path: (status, {"Content-Type": "application/json"}, body)


def amazon(status, code, said):
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{said}</Message></Error>".encode()
    headers = {"Content-Type": "application/xml", "x-amz-bucket-region": "eu-west-1"}
    return lambda path: (status, headers, body)


GOOGLE = [
    (400, "Bucket is a requester pays bucket but no user project provided.", "Copy the data to a bucket of your own"),
    (400, "Invalid bucket name: 'my_Bucket'", "check the names of bucket and object"),
    (301, "The bucket has moved.", "check the names of bucket and object"),
    (403, "The billing account for the owning project is disabled in state absent", "rights on the bucket"),
    (401, "Anonymous caller does not have storage.objects.get access.", "check the credentials of this process"),
    (412, "At least one of the pre-conditions you specified did not hold.", "start again"),
]
AMAZON = [
    (400, "InvalidRequest", "The authorization mechanism is not supported.", "check the names of bucket and object"),
    (301, "PermanentRedirect", "The bucket must be addressed using the specified endpoint.", "set AWS_REGION"),
    (400, "AuthorizationHeaderMalformed", "the region 'us-east-1' is wrong; expecting 'eu-1'", "set AWS_REGION to the"),
    (403, "InvalidObjectState", "The operation is not valid for the storage class", "restore the object from the"),
    (403, "RequestTimeTooSkewed", "The difference between the request time and the current time", "set the clock"),
    (403, "AccessDenied", "Requester pays: access denied by policy", "check the credentials of this process"),
    (412, "PreconditionFailed", "At least one of the pre-conditions did not hold", "start again"),
]
CALLS = (store.read_bytes, store.list_images, store.exists)


@pytest.mark.parametrize(("status", "said", "way_out"), GOOGLE)
@pytest.mark.parametrize("call", CALLS)
def test_google_s_own_sentence_is_told_after_one_question(server, call, status, said, way_out):
    server.answer = google(status, said)
    with pytest.raises(StorageError) as caught:
        call("gs://b/table.csv")
    assert said in str(caught.value) and way_out in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert caught.value.__cause__ is not None
    assert len(server.asked) == 1


@pytest.mark.parametrize(("status", "code", "said", "way_out"), AMAZON)
@pytest.mark.parametrize("call", CALLS)
def test_amazon_s_own_sentence_is_told_and_nothing_repeated_in_vain(server, call, status, code, said, way_out):
    server.answer = amazon(status, code, said)
    with pytest.raises(StorageError) as caught:
        call("s3://skin/table.csv")
    assert said in str(caught.value) and code in str(caught.value) and way_out in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    # HEAD before the listing; the client asks for the region of a bucket that redirects
    assert len(server.asked) <= 4


@pytest.mark.parametrize("call", CALLS)
def test_what_a_server_cannot_do_is_asked_once(server, call):
    server.answer = google(501, "Not implemented here")
    with pytest.raises(StorageError, match="the store answered 501: Not implemented here"):
        call("gs://b/table.csv")
    assert len(server.asked) == 1
    server.answer = amazon(501, "NotImplemented", "A header implies functionality that is not implemented")
    server.asked.clear()
    with pytest.raises(StorageError, match=r"NotImplemented: A header .*; this server lacks a part of S3"):
        call("s3://skin/table.csv")
    assert len(server.asked) <= 2


@pytest.mark.parametrize(("status", "said"), [(304, "Not Modified"), (204, "No Content"), (400, "Bad Request")])
def test_an_answer_without_a_sentence_is_told_by_its_status(server, status, said):
    server.answer = lambda path: (status, {}, b"")
    with pytest.raises(StorageError, match=rf"the store answered {status}: {said}; check"):
        store.read_bytes("gs://b/table.csv")


@pytest.mark.parametrize("body", [b"[]", b"5", b'"a"'])
def test_an_answer_that_is_not_a_listing_is_one_line(server, body):
    server.answer = lambda path: (200, {"Content-Type": "application/json"}, body)
    with pytest.raises(LesionflowError) as caught:
        store.list_images("gs://b/images")
    assert str(caught.value).isprintable()


def test_a_redirect_without_end_is_not_followed_six_times(server):
    server.answer = lambda path: (302, {"Location": path}, b"")
    with pytest.raises(ConfigError, match="Exceeded 30 redirects"):
        store.read_bytes("gs://b/table.csv")
    assert len(server.asked) <= 31


def test_a_redirect_that_names_no_region_is_told(server):
    server.answer = lambda path: (301, {}, b"<Error><Code>PermanentRedirect</Code><Message>elsewhere</Message></Error>")
    with pytest.raises(StorageError, match="the store redirects without naming a region; set AWS_REGION"):
        store.read_bytes("s3://skin/table.csv")


@pytest.mark.parametrize("body", [b"<html>\n<b>sign in</b>\x1b[31m", b"", b"[" * 99999, b'{"error": 5}', b"\xff\xfe"])
@pytest.mark.parametrize("uri", ["gs://b/table.csv", "s3://skin/table.csv"])
def test_an_answer_that_is_not_the_protocol_s_is_still_one_line(server, uri, body):
    server.answer = lambda path: (400, {}, body)
    with pytest.raises(LesionflowError) as caught:
        store.read_bytes(uri)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 400


@pytest.mark.parametrize("scheme", ["gs", "s3"])
def test_a_bucket_or_a_folder_where_a_file_is_meant_is_told_without_asking(server, scheme, tmp_path):
    for name, what in (("", "bucket"), ("/", "bucket"), ("/below/", "folder")):
        for call in (store.read_bytes, lambda uri: store.fetch(uri, tmp_path / "new")):
            with pytest.raises(ConfigError, match=f"which is a {what}; expected a file in it: {scheme}://skin.*/NAME"):
                call(f"{scheme}://skin{name}")
    assert server.asked == []
    assert list(tmp_path.iterdir()) == []


def stored(data, encoding):
    """The object as both stores give it out: bytes as stored, with their checksums."""
    crc = base64.b64encode(google_crc32c.value(data).to_bytes(4, "big")).decode()
    headers = {
        "Content-Encoding": encoding,
        "X-Goog-Hash": f"crc32c={crc}",
        "X-Goog-Generation": "1",
        "ETag": f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"',
    }
    return lambda path: (200, {name: value for name, value in headers.items() if value}, data)


TABLE = b"image_id,label\n" + b"a,1\n" * 1000


@pytest.mark.parametrize("uri", ["gs://b/table.csv", "s3://skin/table.csv"])
@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (gzip.compress(TABLE, mtime=0), "gzip"),
        (gzip.compress(TABLE, mtime=0), "aws-chunked, GZIP"),
        (TABLE, "gzip"),  # said, and not so
        (TABLE, "identity"),
        (TABLE, ""),
    ],
)
def test_an_object_is_read_as_its_content_encoding_says(server, uri, data, encoding):
    server.answer = stored(data, encoding)
    assert store.read_bytes(uri) == TABLE


@pytest.mark.parametrize("uri", ["gs://b/table.csv", "s3://skin/table.csv"])
@pytest.mark.parametrize(
    ("data", "encoding", "words"),
    [
        (TABLE, "br", "stored with Content-Encoding br; expected gzip or none: upload it again"),
        (gzip.compress(TABLE, mtime=0)[:-20], "gzip", "and cut off; upload it again"),
        (gzip.compress(TABLE, mtime=0)[:20] + b"\xff" * 20, "gzip", "and damaged"),
        (gzip.compress(bytes(2**27), mtime=0), "gzip", "more than 67108864 bytes when unpacked"),
    ],
)
def test_a_content_encoding_that_cannot_be_undone_is_told(server, uri, data, encoding, words):
    server.answer = stored(data, encoding)
    with pytest.raises(StorageError, match=words):
        store.read_bytes(uri)


def test_an_address_of_the_emulator_that_is_none_is_told(monkeypatch, server):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "ftp://127.0.0.1:1")
    with pytest.raises(ConfigError, match="STORAGE_EMULATOR_HOST, if set, as http://host:port"):
        store.read_bytes("gs://b/table.csv")
