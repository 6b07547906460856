"""Finding the files: every root is listed once, and an image id is matched to files by name."""

from __future__ import annotations

import logging
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from components.common.artifacts.index import Verdict
from components.common.runtime.errors import DataError
from components.common.storage import store
from components.common.storage.retry import StoredObject
from components.ingest.values import without_fraction

_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Root:
    """One folder of images.

    Attributes:
        uri: as given.
        exists: whether it is there.
        images: image files below it.
        problem: why nothing was found, empty where something was.
    """

    uri: str
    exists: bool
    images: int
    problem: str = ""

    def record(self) -> dict[str, object]:
        """The root as JSON."""
        return {"uri": self.uri, "exists": self.exists, "images": self.images}


class Files:
    """The image files of all roots by image id: the name without suffix, in Unicode's composed form.

    Attributes:
        by_id: files by image id, in the order of the roots.
        other_case: image ids of the table that were found in another case only, with the file's own.
        other_number: image ids that are the same number as the file's name, written otherwise (`7.0`, `007`).
    """

    def __init__(self, items: Iterable[StoredObject], asked: Iterable[str] = ()) -> None:
        """The files of all roots.

        Args:
            items: the files.
            asked: every image id of the table; two that differ by case alone are never the same file.
        """
        self.by_id: dict[str, list[StoredObject]] = {}
        self.other_case: dict[str, str] = {}
        self.other_number: dict[str, str] = {}
        seen = set()
        for item in items:
            if item.uri not in seen:  # a file that two overlapping roots both hold
                seen.add(item.uri)
                name = unicodedata.normalize("NFC", store.stem_of(item.name))
                self.by_id.setdefault(name, []).append(item)
        ids = list(asked)
        self._folded = _Alike(str.casefold, self.by_id, ids)
        self._numbers = _Alike(_number, self.by_id, ids)

    def find(self, image_id: str, folder: str = "") -> list[StoredObject]:
        """The files that bear a name; in another case, or as another spelling of a number, if just one does.

        Args:
            image_id: the name without suffix.
            folder: what the table says in front of the name; chooses where several files bear it.
        """
        found = self.by_id.get(image_id)
        if found is None:
            for alike, noted in ((self._folded, self.other_case), (self._numbers, self.other_number)):
                name = alike.only(image_id)
                if name:
                    noted[image_id] = name
                    found = self.by_id[name]
                    break
            else:
                return []
        if folder and len(found) > 1:
            ending = f"/{folder.strip('/')}/"
            inside = [item for item in found if item.uri[: -len(item.name)].endswith(ending)]
            return inside or found
        return found

    def unlisted(self, image_ids: Iterable[str]) -> list[str]:
        """Names of files that no row of the table asks for."""
        used = {*image_ids, *self.other_case.values(), *self.other_number.values()}
        return sorted(self.by_id.keys() - used)


class _Alike:
    """Names of files by what makes them alike."""

    def __init__(self, key: Callable[[str], str], names: Iterable[str], asked: Iterable[str]) -> None:
        self._key = key
        self._names: dict[str, list[str]] = {}
        for name in names:
            self._names.setdefault(key(name), []).append(name)
        self._asked = Counter(one for one in map(key, asked) if one in self._names)

    def only(self, image_id: str) -> str:
        """The one name that is like this id, if no other id of the table is like it; else empty."""
        key = self._key(image_id)
        names = self._names.get(key, [])
        return names[0] if key and len(names) == 1 and self._asked[key] <= 1 else ""


def _number(text: str) -> str:
    """The number that a name is, without leading zeros and `.0`; empty for any other name."""
    plain = without_fraction(text)
    return str(int(plain)) if plain.isascii() and plain.isdecimal() else ""


def list_roots(uris: list[str], asked: Iterable[str] = ()) -> tuple[list[Root], Files]:
    """Lists every root once.

    Args:
        uris: folders.
        asked: every image id of the table.

    Raises:
        DataError: no root has any image.
    """
    uris = list(dict.fromkeys(uri.strip() for uri in uris if uri.strip()))
    if not uris:
        raise DataError("images: received no root; expected one or more folders or URIs")
    odd = next((uri for uri in uris if printable(uri) != uri), "")
    if odd:
        raise DataError(f"images: the path {printable(odd)} is not UTF-8 text; rename the folder")
    with ThreadPoolExecutor(min(len(uris), 8)) as pool:
        listed = list(pool.map(_listed, uris))
    roots = [
        Root(uri, found is not None, len(found or ()), "" if found else root_problem(uri, exists=found is not None))
        for uri, found in zip(uris, listed, strict=True)
    ]
    for root in roots:
        (log.warning if root.problem else log.info)(
            "image root %s: %s", root.uri, root.problem or f"{root.images} images"
        )
    if not any(root.images for root in roots):
        state = "; ".join(f"{root.uri} {root.problem}" for root in roots)
        raise DataError(f"images: no image found: {state}; expected folders with .jpg or .png files")
    return roots, Files((item for found in listed for item in found or ()), asked)


def misfits(uris: Iterable[str]) -> dict[str, tuple[Verdict, str]]:
    """Verdict and reason of what bears an image's name and is not an image file, by image id.

    Broken links, folders and pipes are unreadable; beside a file of another kind the image is missing.
    """
    found: dict[str, tuple[Verdict, str]] = {}
    for uri in uris:
        for path, what in store.list_misfits(uri).items():
            name = unicodedata.normalize("NFC", store.stem_of(path.rpartition("/")[2]))
            if what:
                found[name] = Verdict.UNREADABLE, printable(f"{path} {what}")
            else:
                reason = f"no image file of this name in any root; {path} does not have the suffix of an image"
                found.setdefault(name, (Verdict.MISSING, printable(reason)))
    return found


def printable(path: str) -> str:
    """A path as UTF-8 text: bytes of a name that are not UTF-8 are written as backslash escapes."""
    return path.encode("utf-8", "backslashreplace").decode()


def _listed(uri: str) -> list[StoredObject] | None:
    try:
        return store.list_images(uri)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(
            f"images: {uri} cannot be listed ({error.strerror}); give this process the right to read it"
        ) from error


def root_problem(uri: str, *, exists: bool) -> str:
    """Why a root, which may exist, has no images: the end of a sentence that says what to do."""
    here = store.is_local(uri)
    what, give = ("a file", "folder") if here else ("an object", "prefix")
    # a store lists an object as it lists a prefix; its name tells them apart
    named = store.suffix_of(uri) in store.IMAGE_SUFFIXES or uri.lower().endswith(_ARCHIVES)
    if store.local_path(uri).is_file() if here else named and (exists or store.exists(uri)):
        archive = uri.lower().endswith(_ARCHIVES)
        return (
            f"is an archive, not a folder: unpack it and give the {give}"
            if archive
            else f"is {what}, not a folder: give the {give} that holds it"
        )
    if exists:
        return "holds no image"
    known = (store.windows_path(uri) or store.not_a_file(store.local_path(uri))) if here else ""
    return known or _misread(uri)


def _misread(uri: str) -> str:
    """What a text that names no folder was probably meant to be."""
    parts = [part for part in re.split(r"[,;\s]+", uri) if part]
    if len(parts) > 1 and any(store.exists(part) for part in parts):
        return "names several folders in one value: give each as a value of its own (--images A B)"
    if any(mark in uri for mark in "*?["):
        return "is a pattern, not a folder: give the folder itself; its subfolders are searched as well"
    return "does not exist"
