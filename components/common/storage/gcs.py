"""Google Cloud Storage. Reached through `components.common.storage.store` only."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import TypeVar

from components.common.runtime.errors import ConfigError
from components.common.storage import retry
from components.common.storage.retry import MismatchError, StorageError, StoredObject

log = logging.getLogger(__name__)

_PAGE = 1000
_FIELDS = "items(name,size,generation,crc32c),nextPageToken"
_XML = re.compile(r"<(?:Details|Message)>([^<]+)")

T = TypeVar("T")


class GcsStore:
    """Workload identity or application default credentials, else anonymous.

    STORAGE_EMULATOR_HOST points it at an emulator, as for every Google client. A body with another length
    or crc32c than its headers announce counts as failed.
    """

    def __init__(self) -> None:
        import requests.adapters  # type: ignore[import-untyped]
        import urllib3
        from google.api_core import exceptions
        from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, TransportError
        from google.cloud import storage

        try:
            emulated = bool(os.environ.get("STORAGE_EMULATOR_HOST"))
            self.client = storage.Client.create_anonymous_client() if emulated else storage.Client(project="-")
        except DefaultCredentialsError as error:
            log.info("reading gs:// anonymously: %s", retry.one_line(str(error)))
            self.client = storage.Client.create_anonymous_client()
        if self.client.project is None:  # anonymous: after a 401 there is nothing to refresh
            self.client._http._refresh_status_codes = ()
        adapter = requests.adapters.HTTPAdapter(pool_connections=retry.POOL, pool_maxsize=retry.POOL)
        for scheme in ("http://", "https://"):
            self.client._http.mount(scheme, adapter)
        self._missing, self._answers, self._credentials = (
            exceptions.NotFound,
            exceptions.GoogleAPICallError,
            GoogleAuthError,
        )
        self._requests, self._unusual = requests.exceptions.RequestException, storage.exceptions.InvalidResponse
        wrong = requests.exceptions
        self._lasting = (
            wrong.TooManyRedirects,
            wrong.InvalidURL,
            wrong.InvalidSchema,
            wrong.MissingSchema,
            wrong.InvalidHeader,
        )
        self._transient = (
            exceptions.ServerError,
            exceptions.TooManyRequests,
            exceptions.RetryError,
            TransportError,
            requests.exceptions.RequestException,
            urllib3.exceptions.HTTPError,
            ConnectionError,
            TimeoutError,
            MismatchError,
            storage.exceptions.DataCorruption,
            storage.exceptions.InvalidResponse,
        )

    def list(self, uri: str) -> Iterator[StoredObject]:
        """Every object below `uri`, page by page: a page that fails is asked for again, not the whole listing."""
        bucket, key = retry.bucket_and_key(uri)
        prefix, token, found = retry.folder_prefix(key), None, False
        while True:
            items, token = self._page(uri, bucket, prefix, token)
            found |= bool(items)
            yield from items
            if not token:
                break
        if not found and not self.exists(uri):
            raise FileNotFoundError(f"{uri}: no such prefix")

    def _page(
        self, uri: str, bucket: str, prefix: str, token: str | None
    ) -> tuple[tuple[StoredObject, ...], str | None]:
        def ask() -> tuple[tuple[StoredObject, ...], str | None]:
            listing = self.client.list_blobs(
                bucket, prefix=prefix, fields=_FIELDS, page_token=token, page_size=_PAGE, retry=None, timeout=_timeout()
            )
            items = tuple(
                StoredObject(
                    f"gs://{bucket}/{blob.name}",
                    PurePosixPath(blob.name).name,
                    int(blob.size or 0),
                    str(blob.generation or ""),
                    blob.crc32c or "",
                )
                for blob in next(listing.pages, ())
                if not retry.is_hidden(blob.name[len(prefix) :])
            )
            return items, listing.next_page_token

        return self._call(f"listing {uri}", ask)

    def read(self, uri: str, version: str, size: int) -> bytes:
        """All bytes of generation `version`, or of the newest if it is empty."""
        bucket, key = retry.bucket_and_object(uri)
        blob = self.client.bucket(bucket).blob(key, generation=int(version) if version else None)

        def download() -> bytes:
            data: bytes = blob.download_as_bytes(raw_download=True, checksum="crc32c", retry=None, timeout=_timeout())
            # The body alone does not say whether it is whole: the response's headers do.
            if blob.size is not None and len(data) != blob.size:
                raise MismatchError(f"{len(data)} bytes of {blob.size}")
            return data

        data = self._call(uri, download)
        return retry.decoded(uri, data, blob.content_encoding or "")

    def write(self, uri: str, source: Path) -> None:
        """Uploads a file; it appears under its name when it is whole."""
        bucket, key = retry.bucket_and_object(uri)
        blob = self.client.bucket(bucket).blob(key)
        self._call(uri, lambda: blob.upload_from_filename(str(source), checksum="crc32c", retry=None))

    def exists(self, uri: str) -> bool:
        """Whether there is such an object, or any below it."""
        bucket, key = retry.bucket_and_key(uri)

        def found() -> bool:
            if key and self.client.bucket(bucket).blob(key).exists(retry=None, timeout=_timeout()):
                return True
            prefix = retry.folder_prefix(key)
            below = self.client.list_blobs(bucket, prefix=prefix, max_results=1, retry=None, timeout=_timeout())
            return any(True for _ in below)

        try:
            return self._call(uri, found)
        except FileNotFoundError:
            return False

    def _call(self, what: str, body: Callable[[], T]) -> T:
        try:
            return retry.attempt(what, body, self._may_pass)
        except self._missing as error:
            raise FileNotFoundError(f"{what}: no such bucket or object") from error
        except (self._answers, self._unusual) as error:
            raise StorageError(f"{what}: {_in_words(error)}") from error
        except (AttributeError, KeyError, TypeError) as error:  # the client takes whatever has status 200 for JSON
            raise StorageError(
                f"{what}: its response is not a bucket listing; check the address of the store"
            ) from error
        except self._credentials as error:
            said = retry.one_line(str(error))
            raise StorageError(
                f"{what}: no usable Google credentials ({said}); sign in again, or check the service "
                "account of this process"
            ) from error
        except (self._requests, ValueError) as error:
            raise ConfigError(
                f"{what}: {retry.one_line(str(error))}; expected gs://bucket/prefix and "
                "STORAGE_EMULATOR_HOST, if set, as http://host:port"
            ) from error

    def _may_pass(self, error: Exception) -> bool:
        status = getattr(getattr(error, "response", None), "status_code", None) or getattr(error, "code", None)
        if status == 501:  # what a server cannot do, it cannot do later
            return False
        if isinstance(error, self._unusual) and status is not None:
            return int(status) in (408, 429) or int(status) >= 500
        return isinstance(error, self._transient) and not isinstance(error, self._lasting)


def _in_words(error: Exception) -> str:
    """The store's response in words, with a way out."""
    status = int(getattr(error, "code", 0) or getattr(getattr(error, "response", None), "status_code", 0))
    said = retry.one_line(_sentence(error))
    if status in (401, 403):
        return f"access refused ({status}: {said}); check the credentials of this process and its rights on the bucket"
    if status == 412:
        return f"the object has changed since it was listed (412: {said}); start again"
    if "requester pays" in said.lower():
        return f"the store answered {status}: {said} Copy the data to a bucket of your own"
    return f"the store answered {status}: {said}; check the names of bucket and object"


def _sentence(error: Exception) -> str:
    """The store's own sentence: of JSON, of XML, else the text of the answer."""
    response = getattr(error, "response", None)
    text = str(getattr(response, "text", "") or getattr(response, "reason", "") or getattr(error, "message", error))
    try:
        return str(json.loads(text)["error"]["message"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return " ".join(_XML.findall(text)) or text


def _timeout() -> tuple[float, float]:
    return retry.CONNECT_S, retry.SILENCE_S
