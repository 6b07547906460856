"""The check of every image: read, hashed, decoded in full unless the same bytes were decoded before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from threading import BoundedSemaphore

from components.common.artifacts.index import Verdict
from components.common.imaging import inspect
from components.common.imaging.dicom import Wrapping
from components.common.imaging.inspect import Inspection
from components.common.imaging.kinds import UNKNOWN, RefusedError, format_of_name
from components.common.imaging.picture import picture_in
from components.common.runtime.byte_semaphore import ByteSemaphore
from components.common.runtime.errors import LesionflowError
from components.common.runtime.events import progress
from components.common.runtime.ordered import ordered_map
from components.common.runtime.resources import return_large_blocks, usable_cores
from components.common.storage import store
from components.common.storage.retry import StoredObject
from components.ingest.cache import Cache
from components.ingest.sources import misfits, printable

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
        sha256: of the picture's bytes, hex: the file's own, or the JPEG in a DICOM file; empty if it could not be read.
        inspection: what the bytes are.
        copies: further files with the same name and the same bytes.
        wrapping: what the DICOM file around the picture says; None for other files.
        passed_over: URIs of files of the same name that are not images that can be read.
    """

    uri: str
    size: int
    sha256: str
    inspection: Inspection
    copies: int = 0
    passed_over: tuple[str, ...] = ()
    wrapping: Wrapping | None = None


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
        if len(files) == 1:
            return self._check_file(files[0])
        every = [self._check_file(item) for item in files]
        readable = [one for one in every if one.inspection.verdict == Verdict.OK]
        unread = next((one for one in every if one.inspection.verdict in (Verdict.UNREADABLE, Verdict.MISSING)), None)
        if unread or not readable:  # what could not be read may be another image; what is none cannot
            return unread or every[0]
        others = tuple(one.uri for one in every if one.inspection.verdict != Verdict.OK)
        first = replace(readable[0], copies=len(readable) - 1, passed_over=others)
        if len({one.sha256 for one in readable}) == 1:
            return first
        reason = f"{len(readable)} files of this name differ: {', '.join(one.uri for one in readable)}"
        inspection = replace(first.inspection, verdict=str(Verdict.DUPLICATE_CONFLICT), reason=reason)
        return replace(first, copies=0, inspection=inspection)

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
        copies = 3 if format_of_name(item.name) in ("dicom", UNKNOWN) else 1  # the file, its data set, the picture
        with self.files.take(copies * item.size):
            return self._read_and_check(item)

    def _read_and_check(self, item: StoredObject) -> Checked:
        try:
            data = store.read_object(item)
        except FileNotFoundError:
            return _lost(item.uri, item.size, Verdict.MISSING, "it was listed but is no longer there")
        except (LesionflowError, OSError) as error:
            return _lost(item.uri, item.size, Verdict.UNREADABLE, " ".join(str(error).split()))
        try:
            picture = picture_in(data, item.name)
        except RefusedError as error:  # not for the cache: another day pydicom may be there
            return _lost(item.uri, len(data), Verdict(error.verdict), error.reason, sha256(data).hexdigest())
        digest = sha256(picture.data).hexdigest()
        inspection = self.cache.get(digest, picture.name)
        if inspection is None:
            with self.decoding:
                inspection = inspect.inspect(picture.data, picture.name, self.pixels.take)
        if picture.wrapping is None:  # a DICOM file is read each time, for its patient
            self.cache.add(item, digest, inspection)
        return Checked(item.uri, len(data), digest, inspection, wrapping=picture.wrapping)


def explain_missing(image_ids: Iterable[str], checked: list[Checked], roots: Iterable[str]) -> list[Checked]:
    """The same, with verdict and reason of missing images in whose place the roots hold something else."""
    if not any(item is _MISSING for item in checked):
        return checked
    reasons = misfits(roots)
    return [
        _lost("", 0, *reasons[image_id]) if item is _MISSING and image_id in reasons else item
        for image_id, item in zip(image_ids, checked, strict=True)
    ]


def _lost(uri: str, size: int, verdict: Verdict, reason: str, digest: str = "") -> Checked:
    return Checked(uri, size, digest, Inspection(str(verdict), reason, "dicom" if digest else ""))


_MISSING = _lost("", 0, Verdict.MISSING, "no file of this name in any root")
