"""The check of every image: read, hashed, decoded in full unless the same bytes were decoded before."""

from __future__ import annotations

import hashlib
import logging
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import BoundedSemaphore

from components.common.imaging import inspect
from components.common.imaging.inspect import Inspection
from components.common.runtime.byte_budget import Budget
from components.common.runtime.cores import usable_cores
from components.common.runtime.errors import LesionflowError
from components.common.runtime.events import progress
from components.common.runtime.freed_memory import return_large_blocks
from components.common.storage import store
from components.common.storage.store import StoredObject
from components.ingest.cache import Cache
from components.ingest.sources import printable

log = logging.getLogger(__name__)

# Many threads wait for storage at a time; only as many as there are cores decode. Files read and pixels at work have
# a budget each, so that memory follows neither threads nor cores: below 1 GB even with the largest image alone. A
# thread takes bytes for the file first and for the pixels second, never the other way round, so none waits forever.
_DECODING = BoundedSemaphore(usable_cores())
_FILES, _PIXELS = Budget(128 * 2**20), Budget(512 * 2**20)

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
        threads: how many images are read at a time.
    """
    return_large_blocks()
    waiting: deque[Future[list[Checked]]] = deque()
    with ThreadPoolExecutor(threads) as pool, progress("images", len(candidates)) as bar:
        try:
            for start in range(0, len(candidates), _BATCH):
                waiting.append(pool.submit(_check_batch, candidates[start : start + _BATCH], cache))
                if len(waiting) >= threads * _AHEAD:
                    done = waiting.popleft().result()
                    yield from done
                    bar.advance(len(done))
            while waiting:
                done = waiting.popleft().result()
                yield from done
                bar.advance(len(done))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # an interrupted run does not finish what is queued


def _check_batch(candidates: Sequence[list[StoredObject]], cache: Cache) -> list[Checked]:
    return [_check(files, cache) for files in candidates]


def _check(files: list[StoredObject], cache: Cache) -> Checked:
    if not files:
        return _lost("", 0, "missing", "no file of this name in any root")
    first = _check_file(files[0], cache)
    if len(files) == 1 or not first.sha256:
        return first
    others = [_digest(item) for item in files[1:]]
    if all(digest == first.sha256 for digest in others):
        return replace(first, copies=len(others))
    reason = f"{len(files)} files of this name differ: {', '.join(printable(item.uri) for item in files)}"
    return replace(first, inspection=replace(first.inspection, verdict="duplicate_conflict", reason=reason))


def _check_file(item: StoredObject, cache: Cache) -> Checked:
    shown = printable(item.uri)
    if shown != item.uri:  # neither Parquet nor JSON could hold it
        return _lost(shown, item.size, "unreadable", "its path is not UTF-8 text; rename the file or its folder")
    known = cache.by_version(item)
    if known is not None:
        return Checked(item.uri, item.size, known[0], known[1])
    if item.size > inspect.MAX_BYTES:
        return _lost(item.uri, item.size, "unsupported", f"{item.size} bytes; at most {inspect.MAX_BYTES} are read")
    with _FILES.take(item.size):
        return _read_and_check(item, cache)


def _read_and_check(item: StoredObject, cache: Cache) -> Checked:
    try:
        data = store.read_object(item)
    except FileNotFoundError:
        return _lost(item.uri, item.size, "missing", "it was listed and is gone")
    except (LesionflowError, OSError) as error:
        return _lost(item.uri, item.size, "unreadable", " ".join(str(error).split()))
    digest = hashlib.sha256(data).hexdigest()
    inspection = cache.get(digest, item.name)
    if inspection is None:
        with _DECODING:
            inspection = inspect.inspect(data, item.name, _PIXELS.take)
    cache.add(item, digest, inspection)
    return Checked(item.uri, len(data), digest, inspection)


def _digest(item: StoredObject) -> str:
    if item.size > inspect.MAX_BYTES:
        return f"not read: {item.size} bytes"
    try:
        with _FILES.take(item.size):
            return hashlib.sha256(store.read_object(item)).hexdigest()
    except (LesionflowError, OSError) as error:
        return f"unreadable: {error}"


def _lost(uri: str, size: int, verdict: str, reason: str) -> Checked:
    return Checked(uri, size, "", Inspection(verdict, reason, ""))
