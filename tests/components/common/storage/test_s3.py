"""What a real S3 server does by itself; what both stores do is in `test_both_stores`."""

import random
import sys

import pytest

from components.common.runtime.errors import ConfigError
from components.common.storage import retry, store
from components.common.storage.retry import StorageError


@pytest.fixture(autouse=True)
def fresh_client(monkeypatch):
    monkeypatch.setattr(store, "_clients", {})


def test_without_its_package_s3_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(ConfigError, match=r"pip install 'lesionflow\[s3\]'"):
        store.list_images("s3://bucket/prefix")


def test_a_large_file_goes_up_in_parts_and_comes_back_whole(s3, tmp_path):
    data = random.Random(3).randbytes(1 << 20) * 101  # above twice the client's part of 50 MiB
    (tmp_path / "large.bin").write_bytes(data)
    store.upload(tmp_path / "large.bin", s3.uri("large.png"))
    (item,) = [one for one in store.list_images(s3.uri()) if one.name == "large.png"]
    assert (item.size, item.version.count("-")) == (len(data), 1)
    assert store.read_object(item) == data


NO_KEYS = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        (
            {"AWS_SECRET_ACCESS_KEY": "wrong"},
            r"access refused \((SignatureDoesNotMatch|403).*\); check the credentials",
        ),
        ({"AWS_ACCESS_KEY_ID": "nobody"}, r"access refused \((InvalidAccessKeyId|403).*\); check the credentials"),
        (NO_KEYS, "no AWS credentials found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile, or AWS_NO"),
        (NO_KEYS | {"AWS_NO_SIGN_REQUEST": "1"}, r"access refused \((AccessDenied|403).*\); check the credentials"),
    ],
)
def test_wrong_and_missing_credentials_are_errors_in_words(s3, tmp_path, monkeypatch, environment, words):
    uri = s3.put("private/a.jpg", b"x")
    monkeypatch.setattr(store, "_clients", {})
    for name, value in environment.items():
        monkeypatch.delenv(name) if value is None else monkeypatch.setenv(name, value)
    (tmp_path / "a.txt").write_bytes(b"x")
    for call in (
        store.read_bytes,
        store.list_images,
        store.exists,
        lambda u: store.upload(tmp_path / "a.txt", u),
    ):
        with pytest.raises(StorageError, match=words):
            call(uri)


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "FSSPEC_S3_ENDPOINT_URL", "profile"])
def test_the_endpoint_is_found_where_other_clients_find_it(s3, monkeypatch, tmp_path, variable):
    uri = s3.put("where/a.jpg", b"here")
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    if variable == "profile":
        (tmp_path / "config").write_text(f"[profile lab]\nendpoint_url = http://{s3.address}\nregion = us-east-1\n")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
        monkeypatch.setenv("AWS_PROFILE", "lab")
    elif variable.startswith("FSSPEC"):
        from fsspec.config import conf, set_conf_env

        monkeypatch.setattr("fsspec.config.conf", conf)
        monkeypatch.setitem(conf, "s3", {})
        set_conf_env(conf, {"FSSPEC_S3_ENDPOINT_URL": f"http://{s3.address}"})
    else:
        monkeypatch.setenv(variable, f"http://{s3.address}")
    monkeypatch.setattr(store, "_clients", {})
    assert store.read_bytes(uri) == b"here"


@pytest.mark.parametrize("address", ["127.0.0.1:8333", "ftp://x"])
def test_an_endpoint_that_is_no_address_is_refused(s3, monkeypatch, address):
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    with pytest.raises(ConfigError, match="AWS_ENDPOINT_URL, if set, as http://host:port"):
        store.read_bytes(s3.uri("x"))


def test_a_server_that_is_not_there_is_an_error_in_words(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    monkeypatch.setattr(retry, "FIRST_WAIT_S", 0.01)
    with pytest.raises(StorageError, match="failed 6 times, last with Could not connect to the endpoint URL"):
        store.read_bytes("s3://skin/x")


def test_no_bucket_and_an_impossible_bucket_are_refused(s3):
    with pytest.raises(ConfigError, match="expected s3://bucket/prefix"):
        store.read_bytes("s3://")
    with pytest.raises(ConfigError, match="Invalid bucket name"):
        store.list_images("s3://What Bucket/x")
