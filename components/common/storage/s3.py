"""S3 and what speaks its protocol. Reached through `components.common.storage.store` only.

s3fs finds credentials and endpoint as its users know it (environment, profiles, web identity, FSSPEC_S3_*);
the requests are the client's own, so that each is retried alone and every body is checked.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from components.common.runtime.errors import ConfigError
from components.common.storage import retry
from components.common.storage.retry import MismatchError, StorageError, StoredObject

_PAGE = 1000
_MISSING = frozenset({"404", "NoSuchKey", "NoSuchBucket", "NotFound"})
_MAY_PASS = frozenset({"SlowDown", "RequestTimeout", "InternalError", "ServiceUnavailable", "Throttling"})
_REFUSED = frozenset({"ExpiredToken", "InvalidToken", "InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied"})
_REGION = "set AWS_REGION to the region of the bucket"
_WAYS_OUT = {
    "PermanentRedirect": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    "IllegalLocationConstraintException": _REGION,
    "InvalidObjectState": "restore the object from the archive first",
    "RequestTimeTooSkewed": "set the clock of this machine",
    "RequestExpired": "set the clock of this machine",
    "KMS.DisabledException": "ask for the key with which the object is encrypted",
    "NotImplemented": "this server lacks a part of S3 that is needed",
}
_MD5 = re.compile(r'"[0-9a-f]{32}"')
_ANONYMOUS = "AWS_NO_SIGN_REQUEST"

Answer = dict[str, Any]
T = TypeVar("T")


class S3Store:
    """Credentials as every AWS client finds them; AWS_NO_SIGN_REQUEST=1 reads a public bucket without any.

    AWS_ENDPOINT_URL (or AWS_ENDPOINT_URL_S3, or a profile's endpoint_url) points it at another server.
    """

    def __init__(self) -> None:
        try:
            import s3fs
        except ModuleNotFoundError as error:
            raise ConfigError("s3:// needs the optional package s3fs; do: pip install 'lesionflow[s3]'") from error
        import aiohttp
        from botocore import exceptions, parsers

        self._errors = exceptions
        self._files = s3fs.S3FileSystem(
            anon=os.environ.get(_ANONYMOUS, "").lower() in ("1", "yes", "true"),
            skip_instance_cache=True,
            config_kwargs={
                "connect_timeout": retry.CONNECT_S,
                "read_timeout": retry.SILENCE_S,
                "max_pool_connections": retry.POOL,
                "retries": {"total_max_attempts": 1},  # ours retries, and says so in the log
            },
        )
        self._files.retries = 1
        self._transient = (
            exceptions.HTTPClientError,
            exceptions.ConnectionError,
            exceptions.IncompleteReadError,
            exceptions.FlexibleChecksumError,
            parsers.ResponseParserError,
            aiohttp.ClientError,
            ConnectionError,
            TimeoutError,
            MismatchError,
        )

    def list(self, uri: str) -> Iterator[StoredObject]:
        """Every object below `uri`, page by page: a page that fails is asked for again, not the whole listing."""
        bucket, key = retry.bucket_and_key(uri)
        prefix, found = retry.folder_prefix(key), False
        request: dict[str, Any] = {"Bucket": bucket, "Prefix": prefix, "MaxKeys": _PAGE}
        while True:
            page = self._ask(f"listing {uri}", "list_objects_v2", **request)
            for item in page.get("Contents", ()):
                name = item["Key"]
                if not retry.is_hidden(name[len(prefix) :]):
                    found = True
                    yield StoredObject(
                        f"s3://{bucket}/{name}", PurePosixPath(name).name, int(item["Size"]), str(item.get("ETag", ""))
                    )
            if not page.get("IsTruncated"):
                break
            request["ContinuationToken"] = page["NextContinuationToken"]
        if not found and not self.exists(uri):
            raise FileNotFoundError(f"{uri}: no such prefix")

    def read(self, uri: str, version: str, size: int) -> bytes:
        """All bytes of the object whose ETag is `version`, or of the newest if it is empty."""
        bucket, key = retry.bucket_and_object(uri)
        condition = {"IfMatch": version} if version else {}

        async def download() -> tuple[bytes, str]:
            answer = await (await self._files.set_session()).get_object(Bucket=bucket, Key=key, **condition)
            async with answer["Body"] as body:
                data: bytes = await body.read()
            _check_body(data, size if size >= 0 else answer["ContentLength"], answer, bucket)
            return data, str(answer.get("ContentEncoding", ""))

        return retry.decoded(uri, *self._call(uri, lambda: self._wait(download)))

    def write(self, uri: str, source: Path) -> None:
        """Uploads a file, large ones in parts; it appears under its name when it is whole."""
        retry.bucket_and_object(uri)
        self._call(uri, lambda: self._files.put_file(str(source), uri))

    def exists(self, uri: str) -> bool:
        """Whether there is such an object, or any below it."""
        bucket, key = retry.bucket_and_key(uri)
        refused: StorageError | None = None
        try:
            if key and not key.endswith("/"):
                try:
                    self._ask(uri, "head_object", Bucket=bucket, Key=key)
                    return True
                except FileNotFoundError:
                    pass
                except StorageError as error:  # an answer to HEAD has no sentence, the one to a listing has
                    refused = error
            below = self._ask(uri, "list_objects_v2", Bucket=bucket, Prefix=retry.folder_prefix(key), MaxKeys=1)
        except FileNotFoundError:
            return False
        if refused and not below.get("Contents"):
            raise refused
        return not key or bool(below.get("Contents"))

    def _ask(self, what: str, method: str, **arguments: Any) -> Answer:
        async def request() -> Answer:
            answer: Answer = await getattr(await self._files.set_session(), method)(**arguments)
            return answer

        return self._call(what, lambda: self._wait(request))

    def _wait(self, request: Callable[[], Coroutine[Any, Any, T]]) -> T:
        from fsspec.asyn import sync

        answer: T = sync(self._files.loop, request)
        return answer

    def _call(self, what: str, body: Callable[[], T]) -> T:
        try:
            return retry.attempt(what, body, self._may_pass)
        except (ValueError, self._errors.ParamValidationError, self._errors.EndpointProviderError) as error:
            raise ConfigError(
                f"{what}: {retry.one_line(str(error))[:120]}; expected s3://bucket/prefix and "
                "AWS_ENDPOINT_URL, if set, as http://host:port"
            ) from error
        except (self._errors.BotoCoreError, self._errors.ClientError, OSError) as error:
            raise self._in_words(what, error) from error
        except RecursionError as error:  # the client asks for the region, is redirected, and asks for the region
            raise StorageError(f"{what}: the store redirects without naming a region; {_REGION}") from error

    def _may_pass(self, error: Exception) -> bool:
        code, status, _ = _answer(error)
        if status == 501:  # what a server cannot do, it cannot do later
            return False
        return isinstance(error, self._transient) or code in _MAY_PASS or status == 429 or status >= 500

    def _in_words(self, what: str, error: Exception) -> Exception:
        code, status, said = _answer(error)
        if code in _MISSING or isinstance(error, FileNotFoundError):
            return FileNotFoundError(f"{what}: no such bucket or object")
        if isinstance(error, (self._errors.NoCredentialsError, self._errors.PartialCredentialsError)):
            return StorageError(
                f"{what}: no AWS credentials found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile, or "
                f"{_ANONYMOUS}=1 for a public bucket"
            )
        told = retry.one_line(f"{code}: {said}" if code and said and code != said else code or said or str(error))
        if status == 412:
            return StorageError(f"{what}: the object has changed since it was listed ({told}); start again")
        if code in _WAYS_OUT or status in (301, 307):
            return StorageError(f"{what}: {told}; {_WAYS_OUT.get(code, _REGION)}")
        if code in _REFUSED or status in (401, 403) or isinstance(error, PermissionError):
            return StorageError(f"{what}: access refused ({told}); check the credentials of this process")
        return StorageError(f"{what}: {told}; check the names of bucket and object" if status else f"{what}: {told}")


def _answer(error: BaseException) -> tuple[str, int, str]:
    """S3's error code, HTTP status and the store's sentence, also where s3fs made a Python error of them."""
    response = getattr(error, "response", None) or getattr(error.__cause__, "response", None)
    if not isinstance(response, dict):
        return "", 0, ""
    status, said = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0), response.get("Error", {})
    return str(said.get("Code", "")), int(status), str(said.get("Message", ""))


def _check_body(data: bytes, size: int, answer: Answer, bucket: str) -> None:
    """A proxy can lose the rest of a body and not know it: length and, where the ETag is one, MD5 must fit."""
    if len(data) != size:
        raise MismatchError(f"{len(data)} bytes of {size}")
    etag = str(answer.get("ETag", ""))
    encrypted = answer.get("SSECustomerAlgorithm") or str(answer.get("ServerSideEncryption", "")).startswith("aws:kms")
    # Only an object uploaded in one part has its MD5 as ETag; with keys of one's own or in a directory bucket none has.
    if encrypted or bucket.endswith("--x-s3") or not _MD5.fullmatch(etag):
        return
    if hashlib.md5(data, usedforsecurity=False).hexdigest() != etag.strip('"'):
        raise MismatchError(f"the MD5 of {len(data)} bytes is not the ETag {etag}")
