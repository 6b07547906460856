"""What the object stores share: objects as listed, bucket and key of a URI, retrying with backoff."""

from __future__ import annotations

import logging
import random
import time
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
            if not transient(error):
                raise
            if not left:
                text = " ".join(str(error).split())[:200] or type(error).__name__
                raise StorageError(f"{what}: failed {ATTEMPTS} times, last with {text}; try again later") from None
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


def folder_prefix(key: str) -> str:
    """`key` as a prefix that ends a folder's name: `one` does not list `one-more`."""
    return key.rstrip("/") + "/" if key.strip("/") else ""


def is_hidden(name: str) -> bool:
    """Whether a file or a folder on the way to it begins with a dot; `name` is relative to the root."""
    return any(part.startswith(".") for part in name.split("/"))
