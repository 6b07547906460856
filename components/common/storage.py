"""Where bytes live: local folders, `gs://`, `s3://`. The only module that knows object storage.

Paths without a scheme and `file://` are local. Clients are imported when a remote URI is first used,
so a local run never pays for them. A remote read is retried with backoff, and a body shorter than
announced or with another checksum counts as failed.
"""

from __future__ import annotations

import logging
import os
import random
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol, TypeVar
from urllib.parse import unquote, urlsplit

from components.common.errors import ConfigError, LesionflowError

log = logging.getLogger(__name__)

# What counts as an image by its name. Formats that are refused later are listed all the same: a
# verdict about a file says more than "missing".
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp"})
SCHEMES = ("file", "gs", "s3")
ATTEMPTS = 6
_FIRST_WAIT_S = 0.25
_LONGEST_WAIT_S = 8.0
_TIMEOUT_S = (10, 60)  # connect; between two bytes
_POOL = 64

T = TypeVar("T")


class StorageError(LesionflowError):
    """Object storage refused, or kept failing through all attempts."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One file or object.

    Attributes:
        uri: where it is; a local one is an absolute path.
        name: its last part, `ISIC_0027419.jpg`.
        size: bytes.
        version: what changes whenever the bytes do (generation, ETag); empty where storage has no such thing.
        crc32c: base64 of the stored checksum, empty where storage has none.
    """

    uri: str
    name: str
    size: int
    version: str = ""
    crc32c: str = ""


class _Store(Protocol):
    def list(self, uri: str) -> Iterator[StoredObject]: ...
    def read(self, uri: str, version: str) -> bytes: ...
    def write(self, uri: str, source: Path) -> None: ...
    def exists(self, uri: str) -> bool: ...


def scheme_of(uri: str) -> str:
    """`file`, `gs` or `s3`.

    Raises:
        ConfigError: another scheme.
    """
    scheme, mark, _ = uri.partition("://")
    if not mark:
        return "file"
    if scheme not in SCHEMES:
        raise ConfigError(f"received {uri!r}; allowed: a local path, file://, gs://bucket/prefix or s3://bucket/prefix")
    return scheme


def is_local(uri: str) -> bool:
    """Whether `uri` is a path on this machine."""
    return scheme_of(uri) == "file"


def local_path(uri: str) -> Path:
    """The path behind a local URI."""
    return Path(unquote(urlsplit(uri).path)) if uri.startswith("file://") else Path(uri).expanduser()


def list_images(root: str) -> list[StoredObject]:
    """Every image below `root`, by name, listed once; hidden files and folders are left out.

    Raises:
        FileNotFoundError: there is no such folder, bucket or prefix.
        StorageError: storage refused or kept failing.
    """
    found = (item for item in _store(root).list(root) if PurePosixPath(item.name).suffix.lower() in IMAGE_SUFFIXES)
    return sorted(found, key=lambda item: item.uri)


def read_bytes(uri: str) -> bytes:
    """All bytes of a file or object.

    Raises:
        FileNotFoundError: it is not there.
        StorageError: storage refused or kept failing.
    """
    return _store(uri).read(uri, "")


def read_object(item: StoredObject) -> bytes:
    """`read_bytes` of a listed object, which must have the size and checksum it was listed with."""
    data = _store(item.uri).read(item.uri, item.version)
    if not is_local(item.uri) and len(data) != item.size:
        raise StorageError(f"{item.uri}: received {len(data)} bytes, listed with {item.size}; it changed, start again")
    return data


def exists(uri: str) -> bool:
    """Whether a file, folder, object or non-empty prefix is there."""
    return _store(uri).exists(uri)


def fetch(uri: str, folder: Path) -> Path:
    """A local copy of a file: the file itself where it is local, else a download into `folder`."""
    if is_local(uri):
        path = local_path(uri)
        if not path.is_file():
            raise FileNotFoundError(f"{uri}: no such file")
        return path
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / PurePosixPath(urlsplit(uri).path).name
    scratch = target.with_name(f".{target.name}.{os.getpid()}.partial")
    scratch.write_bytes(read_bytes(uri))
    scratch.replace(target)
    return target


def upload(path: Path, uri: str) -> None:
    """Copies a file, or a folder with everything in it, to `uri`."""
    if path.is_dir():
        for file in sorted(p for p in path.rglob("*") if p.is_file()):
            _store(uri).write(join(uri, file.relative_to(path).as_posix()), file)
    else:
        _store(uri).write(uri, path)


def join(uri: str, name: str) -> str:
    """`name` below `uri`."""
    return f"{uri.rstrip('/')}/{name}"


def _store(uri: str) -> _Store:
    scheme = scheme_of(uri)
    if scheme == "gs":
        return _gcs()
    return _s3() if scheme == "s3" else _LOCAL


class _Local:
    def list(self, uri: str) -> Iterator[StoredObject]:
        root = local_path(uri)
        if not root.is_dir():
            raise FileNotFoundError(f"{uri}: no such folder")
        waiting = [os.path.abspath(root)]  # noqa: PTH100 - resolve() would follow links and rename the source
        while waiting:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    elif entry.is_file():
                        yield StoredObject(entry.path, entry.name, entry.stat().st_size)

    def read(self, uri: str, version: str) -> bytes:
        return local_path(uri).read_bytes()

    def write(self, uri: str, source: Path) -> None:
        target = local_path(uri)
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = target.with_name(f".{target.name}.{os.getpid()}.partial")
        shutil.copyfile(source, scratch)
        scratch.replace(target)

    def exists(self, uri: str) -> bool:
        return local_path(uri).exists()


_LOCAL = _Local()
_clients: dict[str, Any] = {}
_client_lock = threading.Lock()


def _once(name: str, make: Callable[[], Any]) -> Any:
    with _client_lock:
        if name not in _clients:
            _clients[name] = make()
        return _clients[name]


def _attempt(what: str, body: Callable[[], T], transient: tuple[type[BaseException], ...]) -> T:
    """Runs `body`, again after a growing, jittered pause when it fails with something that may pass."""
    wait = _FIRST_WAIT_S
    for left in range(ATTEMPTS - 1, -1, -1):
        try:
            return body()
        except transient as error:
            if not left:
                text = " ".join(str(error).split())[:200]
                raise StorageError(f"{what}: failed {ATTEMPTS} times, last with {text}; try again later") from None
            log.info("%s: %s; %d attempts left", what, type(error).__name__, left)
        time.sleep(wait * random.uniform(0.5, 1.0))
        wait = min(wait * 2, _LONGEST_WAIT_S)
    raise AssertionError("unreachable")


def _split(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.partition("://")[2].partition("/")
    if not bucket:
        raise ConfigError(f"received {uri!r}; expected {scheme_of(uri)}://bucket/prefix")
    return bucket, key


def _prefix(key: str) -> str:
    return key.rstrip("/") + "/" if key.strip("/") else ""


def _gcs() -> _Store:
    store: _Store = _once("gs", _Gcs)
    return store


class _Gcs:
    """Google Cloud Storage: workload identity or application default credentials, else anonymous.

    STORAGE_EMULATOR_HOST points it at an emulator, as for every Google client.
    """

    def __init__(self) -> None:
        import requests.adapters  # type: ignore[import-untyped]
        import urllib3
        from google.api_core import exceptions
        from google.auth.exceptions import DefaultCredentialsError, TransportError
        from google.cloud import storage

        try:
            emulated = bool(os.environ.get("STORAGE_EMULATOR_HOST"))
            self._client = storage.Client.create_anonymous_client() if emulated else storage.Client(project="-")
        except DefaultCredentialsError:
            log.info("no Google credentials found: reading gs:// anonymously")
            self._client = storage.Client.create_anonymous_client()
        adapter = requests.adapters.HTTPAdapter(pool_connections=_POOL, pool_maxsize=_POOL)
        for scheme in ("http://", "https://"):
            self._client._http.mount(scheme, adapter)
        self._missing, self._refused = exceptions.NotFound, (exceptions.Unauthorized, exceptions.Forbidden)
        self._transient = (
            exceptions.ServerError, exceptions.TooManyRequests, exceptions.RetryError, TransportError,
            requests.exceptions.RequestException, urllib3.exceptions.HTTPError,
            ConnectionError, TimeoutError, _MismatchError,
            storage.exceptions.DataCorruption, storage.exceptions.InvalidResponse,
        )  # fmt: skip

    def list(self, uri: str) -> Iterator[StoredObject]:
        bucket, key = _split(uri)
        prefix = _prefix(key)

        def listing() -> list[StoredObject]:
            fields = "items(name,size,generation,crc32c),nextPageToken"
            found = self._client.list_blobs(bucket, prefix=prefix, fields=fields, retry=None, timeout=_TIMEOUT_S)
            return [
                StoredObject(
                    f"gs://{bucket}/{blob.name}", PurePosixPath(blob.name).name, int(blob.size or 0),
                    str(blob.generation or ""), blob.crc32c or "",
                )
                for blob in found
                if not any(part.startswith(".") for part in blob.name[len(prefix) :].split("/"))
            ]  # fmt: skip

        items = self._call(f"listing {uri}", listing)
        if not items and not self.exists(uri):
            raise FileNotFoundError(f"{uri}: no such prefix")
        yield from items

    def read(self, uri: str, version: str) -> bytes:
        bucket, key = _split(uri)
        blob = self._client.bucket(bucket).blob(key, generation=int(version) if version else None)

        def download() -> bytes:
            data: bytes = blob.download_as_bytes(raw_download=True, checksum="crc32c", retry=None, timeout=_TIMEOUT_S)
            # The body alone does not say whether it is whole: the response's headers do.
            if blob.size is not None and len(data) != blob.size:
                raise _MismatchError(f"{len(data)} bytes of {blob.size}")
            return data

        return self._call(uri, download)

    def write(self, uri: str, source: Path) -> None:
        bucket, key = _split(uri)
        blob = self._client.bucket(bucket).blob(key)
        self._call(uri, lambda: blob.upload_from_filename(str(source), checksum="crc32c", retry=None))

    def exists(self, uri: str) -> bool:
        bucket, key = _split(uri)

        def found() -> bool:
            if key and self._client.bucket(bucket).blob(key).exists(retry=None, timeout=_TIMEOUT_S):
                return True
            below = self._client.list_blobs(bucket, prefix=_prefix(key), max_results=1, retry=None, timeout=_TIMEOUT_S)
            return any(True for _ in below)

        try:
            return self._call(uri, found)
        except FileNotFoundError:
            return False

    def _call(self, what: str, body: Callable[[], T]) -> T:
        try:
            return _attempt(what, body, self._transient)
        except self._missing:
            raise FileNotFoundError(f"{what}: no such bucket or object") from None
        except self._refused as error:
            raise StorageError(f"{what}: access refused ({error.code}); check this process's credentials") from None


class _MismatchError(Exception):
    """A body that is not what its headers announce."""


def _s3() -> _Store:
    store: _Store = _once("s3", _S3)
    return store


class _S3:
    """S3 and what speaks its protocol, by s3fs; AWS_ENDPOINT_URL points it at another server."""

    def __init__(self) -> None:
        try:
            import s3fs
        except ModuleNotFoundError:
            raise ConfigError("s3:// needs the optional package s3fs; do: pip install 'lesionflow[s3]'") from None
        endpoint = os.environ.get("AWS_ENDPOINT_URL") or None
        anonymous = os.environ.get("AWS_NO_SIGN_REQUEST", "").lower() in ("1", "yes", "true")
        self._files = s3fs.S3FileSystem(anon=anonymous, endpoint_url=endpoint, use_listings_cache=False)

    def list(self, uri: str) -> Iterator[StoredObject]:
        found: dict[str, Any] = self._call(
            f"listing {uri}", lambda: self._files.find(uri.removeprefix("s3://"), detail=True)
        )
        if not found and not self.exists(uri):
            raise FileNotFoundError(f"{uri}: no such prefix")
        below = len(uri.removeprefix("s3://").rstrip("/"))
        for name, item in found.items():
            if not any(part.startswith(".") for part in name[below:].strip("/").split("/")):
                tag = str(item.get("ETag", ""))
                yield StoredObject(f"s3://{name}", PurePosixPath(name).name, int(item["size"]), tag)

    def read(self, uri: str, version: str) -> bytes:
        return bytes(self._call(uri, lambda: self._files.cat_file(uri)))

    def write(self, uri: str, source: Path) -> None:
        self._call(uri, lambda: self._files.put_file(str(source), uri))

    def exists(self, uri: str) -> bool:
        return bool(self._call(uri, lambda: self._files.exists(uri)))

    def _call(self, what: str, body: Callable[[], T]) -> T:
        try:
            return _attempt(what, body, (ConnectionError, TimeoutError))
        except FileNotFoundError:
            raise FileNotFoundError(f"{what}: no such bucket or object") from None
        except PermissionError:
            raise StorageError(f"{what}: access refused; check the credentials of this process") from None
