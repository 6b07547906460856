"""Google Cloud Storage. Reached through `components.common.storage.store` only."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import TypeVar

from components.common.storage import retry
from components.common.storage.retry import MismatchError, StorageError, StoredObject

log = logging.getLogger(__name__)

_PAGE = 1000
_FIELDS = "items(name,size,generation,crc32c),nextPageToken"

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
        from google.auth.exceptions import DefaultCredentialsError, TransportError
        from google.cloud import storage

        try:
            emulated = bool(os.environ.get("STORAGE_EMULATOR_HOST"))
            self.client = storage.Client.create_anonymous_client() if emulated else storage.Client(project="-")
        except DefaultCredentialsError:
            log.info("no Google credentials found: reading gs:// anonymously")
            self.client = storage.Client.create_anonymous_client()
        adapter = requests.adapters.HTTPAdapter(pool_connections=retry.POOL, pool_maxsize=retry.POOL)
        for scheme in ("http://", "https://"):
            self.client._http.mount(scheme, adapter)
        self._missing, self._refused = exceptions.NotFound, (exceptions.Unauthorized, exceptions.Forbidden)
        self._transient = (
            exceptions.ServerError, exceptions.TooManyRequests, exceptions.RetryError, TransportError,
            requests.exceptions.RequestException, urllib3.exceptions.HTTPError,
            ConnectionError, TimeoutError, MismatchError,
            storage.exceptions.DataCorruption, storage.exceptions.InvalidResponse,
        )  # fmt: skip

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
                    f"gs://{bucket}/{blob.name}", PurePosixPath(blob.name).name, int(blob.size or 0),
                    str(blob.generation or ""), blob.crc32c or "",
                )
                for blob in next(listing.pages, ())
                if not retry.is_hidden(blob.name[len(prefix) :])
            )  # fmt: skip
            return items, listing.next_page_token

        return self._call(f"listing {uri}", ask)

    def read(self, uri: str, version: str, size: int) -> bytes:
        """All bytes of generation `version`, or of the newest if it is empty."""
        bucket, key = retry.bucket_and_key(uri)
        blob = self.client.bucket(bucket).blob(key, generation=int(version) if version else None)

        def download() -> bytes:
            data: bytes = blob.download_as_bytes(raw_download=True, checksum="crc32c", retry=None, timeout=_timeout())
            # The body alone does not say whether it is whole: the response's headers do.
            if blob.size is not None and len(data) != blob.size:
                raise MismatchError(f"{len(data)} bytes of {blob.size}")
            return data

        return self._call(uri, download)

    def write(self, uri: str, source: Path) -> None:
        """Uploads a file; it appears under its name when it is whole."""
        bucket, key = retry.bucket_and_key(uri)
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
            return retry.attempt(what, body, lambda error: isinstance(error, self._transient))
        except self._missing:
            raise FileNotFoundError(f"{what}: no such bucket or object") from None
        except self._refused as error:
            raise StorageError(f"{what}: access refused ({error.code}); check this process's credentials") from None


def _timeout() -> tuple[float, float]:
    return retry.CONNECT_S, retry.SILENCE_S
