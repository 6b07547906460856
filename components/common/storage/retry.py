"""What the object stores share: objects as listed, bucket and key of a URI, content encoding, retries with backoff."""

from __future__ import annotations

import logging
import random
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from components.common.runtime.errors import ConfigError, LesionflowError

log = logging.getLogger(__name__)

ATTEMPTS = 6
FIRST_WAIT_S = 0.25
CONNECT_S, SILENCE_S = 10.0, 60.0  # to connect; between two bytes
POOL = 64  # connections kept open
THREADS = 32  # that read at a time where waiting for a store is most of the work
_LONGEST_WAIT_S = 8.0
_GZIP = b"\x1f\x8b"
_NO_ENCODING = frozenset({"", "identity", "aws-chunked", "utf-8"})  # the last two are common mistakes of uploaders
_CERTIFICATE = "CERTIFICATE_VERIFY_FAILED"  # in the text of every client's error; another attempt ends the same way

T = TypeVar("T")


class StorageError(LesionflowError):
    """Object storage refused, or kept failing through all attempts."""


class MismatchError(Exception):
    """A body that is not what its headers or the listing announce."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One file or object.

    Attributes:
        uri: where it is; a local one is an absolute path.
        name: its last part, `ISIC_0027419.jpg`.
        size: bytes.
        version: what changes whenever the bytes do: generation, ETag; of a local file size, times of change and
            inode. Empty where storage has no such thing, and for a file changed so recently that the next
            change could bear the same time.
        crc32c: base64 of the stored checksum, empty where storage has none.
    """

    uri: str
    name: str
    size: int
    version: str = ""
    crc32c: str = ""


def attempt(what: str, body: Callable[[], T], transient: Callable[[Exception], bool]) -> T:
    """Runs `body`, again after a growing, jittered pause while it fails with something that may pass.

    Args:
        what: what is done, for the message.
        body: the request.
        transient: whether an error may pass.

    Raises:
        StorageError: all attempts failed.
    """
    wait = FIRST_WAIT_S
    for left in range(ATTEMPTS - 1, -1, -1):
        try:
            return body()
        except Exception as error:
            if not transient(error) or _CERTIFICATE in str(error):
                raise
            if not left:
                text = one_line(str(error)) or type(error).__name__
                raise StorageError(f"{what}: failed {ATTEMPTS} times, last with {text}; try again later") from error
            log.info("%s: %s; %d attempts left", what, type(error).__name__, left)
        time.sleep(wait * random.uniform(0.5, 1.0))
        wait = min(wait * 2, _LONGEST_WAIT_S)
    raise AssertionError("unreachable")


def bucket_and_key(uri: str) -> tuple[str, str]:
    """`bucket` and `key` of `scheme://bucket/key`; the key may be empty.

    Raises:
        ConfigError: there is no bucket.
    """
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if not bucket:
        raise ConfigError(f"received {uri!r}; expected {scheme}://bucket/prefix")
    return bucket, key


def bucket_and_object(uri: str) -> tuple[str, str]:
    """`bucket` and `key` of an object.

    Raises:
        ConfigError: there is no bucket, or it is a bucket or a folder.
    """
    bucket, key = bucket_and_key(uri)
    if not key or key.endswith("/"):
        what = "folder" if key.strip("/") else "bucket"
        raise ConfigError(f"received {uri!r}, which is a {what}; expected a file in it: {uri.rstrip('/')}/NAME")
    return bucket, key


def decoded(uri: str, data: bytes, encoding: str) -> bytes:
    """The content of an object from the bytes that are stored, as its content encoding says.

    `gsutil cp -z` stores a file compressed, and every browser shows it as it was. Bytes that are not compressed in
    spite of what the object says are left as they are.

    Raises:
        StorageError: another encoding, damaged, or larger than a file of that size can be.
    """
    names = {name.strip().lower() for name in (encoding or "").split(",")} - _NO_ENCODING
    if not names or (names <= {"gzip", "x-gzip"} and not data.startswith(_GZIP)):
        return data
    if not names <= {"gzip", "x-gzip"}:
        raise StorageError(
            f"{uri}: stored with Content-Encoding {one_line(encoding)}; expected gzip or none: upload it again"
        )
    most = min(2**30, max(2**26, 64 * len(data)))
    unpacker = zlib.decompressobj(wbits=31)
    try:
        plain = unpacker.decompress(data, most)
    except zlib.error as error:
        raise StorageError(
            f"{uri}: stored with Content-Encoding gzip, and damaged ({error}); upload it again"
        ) from error
    if unpacker.unconsumed_tail or not unpacker.eof:
        fault = f"more than {most} bytes when unpacked" if unpacker.unconsumed_tail else "cut off"
        raise StorageError(f"{uri}: stored with Content-Encoding gzip, and {fault}; upload it again")
    return plain


def one_line(text: str) -> str:
    """A server's text as an error shows it: one line, not long, without control characters."""
    return "".join(mark for mark in " ".join(text.split())[:200] if mark.isprintable())


def folder_prefix(key: str) -> str:
    """`key` as a prefix that ends a folder's name: `one` does not list `one-more`."""
    return key.rstrip("/") + "/" if key.strip("/") else ""


def is_hidden(name: str) -> bool:
    """Whether a file or a folder on the way to it begins with a dot; `name` is relative to the root."""
    return any(part.startswith(".") for part in name.split("/"))
