"""The check of every image: read, hashed, decoded in full unless the same bytes were decoded before."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from threading import BoundedSemaphore

from components.common.artifacts.index import Verdict
from components.common.imaging import inspect
from components.common.imaging.inspect import Inspection
from components.common.runtime.byte_semaphore import ByteSemaphore
from components.common.runtime.errors import LesionflowError
from components.common.runtime.events import progress
from components.common.runtime.ordered import ordered_map
from components.common.runtime.resources import return_large_blocks, usable_cores
from components.common.storage import store
from components.common.storage.store import StoredObject
from components.ingest.cache import Cache
from components.ingest.sources import printable

log = logging.getLogger(__name__)

# Files read and pixels at work have a budget each, so that memory follows neither threads nor cores: below 1 GB even
# with the largest image alone. A thread takes bytes for the file first and for the pixels second, never the other
# way round, so none waits forever.
_FILE_BYTES, _PIXEL_BYTES = 128 * 2**20, 512 * 2**20

_BATCH = 16  # images handed to a thread at once: a hand-over costs as much as a tenth of a small image's check
_AHEAD = 4  # batches in flight per thread: enough to keep threads busy; they hold verdicts, not images


@dataclass(frozen=True, slots=True)
class Checked:
    """One image's verdict.

    Attributes:
        uri: where it was read from; empty if it is missing.
        size: bytes.
        sha256: of the bytes, hex; empty if they could not be read.
        inspection: what the bytes are.
        copies: further files with the same name and the same bytes.
    """

    uri: str
    size: int
    sha256: str
    inspection: Inspection
    copies: int = 0


def check_images(candidates: Sequence[list[StoredObject]], cache: Cache, threads: int) -> Iterator[Checked]:
    """Checks one image for each entry of `candidates`, in order.

    Args:
        candidates: for each image the files that bear its name; none if it is missing.
        cache: known verdicts; new ones are added to it.
        threads: how many images are read at a time; only as many as there are cores decode.
    """
    return_large_blocks()
    checker = _Checker(cache)
    with progress("images", len(candidates)) as bar:
        for _, checked in ordered_map(candidates, checker.check, threads, batch=_BATCH, ahead=_AHEAD):
            yield checked
            bar.advance()


class _Checker:
    """The check itself, with what its threads share."""

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self.decoding = BoundedSemaphore(usable_cores())
        self.files, self.pixels = ByteSemaphore(_FILE_BYTES), ByteSemaphore(_PIXEL_BYTES)

    def check(self, files: list[StoredObject]) -> Checked:
        if not files:
            return _MISSING
        first = self._check_file(files[0])
        if len(files) == 1 or not first.sha256:
            return first
        others = [self._digest(item) for item in files[1:]]
        if all(digest == first.sha256 for digest in others):
            return replace(first, copies=len(others))
        reason = f"{len(files)} files of this name differ: {', '.join(printable(item.uri) for item in files)}"
        inspection = replace(first.inspection, verdict=str(Verdict.DUPLICATE_CONFLICT), reason=reason)
        return replace(first, inspection=inspection)

    def _check_file(self, item: StoredObject) -> Checked:
        shown = printable(item.uri)
        if shown != item.uri:  # neither Parquet nor JSON could hold it
            reason = "its path is not UTF-8 text; rename the file or its folder"
            return _lost(shown, item.size, Verdict.UNREADABLE, reason)
        known = self.cache.by_version(item)
        if known is not None:
            return Checked(item.uri, item.size, known[0], known[1])
        if item.size > inspect.MAX_BYTES:
            reason = f"{item.size} bytes; at most {inspect.MAX_BYTES} are read"
            return _lost(item.uri, item.size, Verdict.UNSUPPORTED, reason)
        with self.files.take(item.size):
            return self._read_and_check(item)

    def _read_and_check(self, item: StoredObject) -> Checked:
        try:
            data = store.read_object(item)
        except FileNotFoundError:
            return _lost(item.uri, item.size, Verdict.MISSING, "it was listed and is gone")
        except (LesionflowError, OSError) as error:
            return _lost(item.uri, item.size, Verdict.UNREADABLE, " ".join(str(error).split()))
        digest = hashlib.sha256(data).hexdigest()
        inspection = self.cache.get(digest, item.name)
        if inspection is None:
            with self.decoding:
                inspection = inspect.inspect(data, item.name, self.pixels.take)
        self.cache.add(item, digest, inspection)
        return Checked(item.uri, len(data), digest, inspection)

    def _digest(self, item: StoredObject) -> str:
        if item.size > inspect.MAX_BYTES:
            return f"not read: {item.size} bytes"
        try:
            with self.files.take(item.size):
                return hashlib.sha256(store.read_object(item)).hexdigest()
        except (LesionflowError, OSError) as error:
            return f"unreadable: {error}"


def _lost(uri: str, size: int, verdict: Verdict, reason: str) -> Checked:
    return Checked(uri, size, "", Inspection(str(verdict), reason, ""))


_MISSING = _lost("", 0, Verdict.MISSING, "no file of this name in any root")
