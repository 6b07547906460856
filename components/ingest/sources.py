"""Finding the files: every root is listed once, and an image id is matched to files by name."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from components.common.runtime.errors import DataError
from components.common.storage import store
from components.common.storage.store import StoredObject

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Root:
    """One folder of images.

    Attributes:
        uri: as given.
        exists: whether it is there.
        images: image files below it.
    """

    uri: str
    exists: bool
    images: int

    def record(self) -> dict[str, object]:
        """The root as JSON."""
        return {"uri": self.uri, "exists": self.exists, "images": self.images}


def list_roots(uris: list[str]) -> tuple[list[Root], dict[str, list[StoredObject]]]:
    """Lists every root once.

    Returns:
        The roots, and all files by image id (name without suffix) in the order of the roots. A file that
        two overlapping roots both hold is there once.

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
    roots = [Root(uri, found is not None, len(found or ())) for uri, found in zip(uris, listed, strict=True)]
    for root in roots:
        log.info("image root %s: %s", root.uri, f"{root.images} images" if root.exists else "DOES NOT EXIST")
    if not any(root.images for root in roots):
        state = "; ".join(f"{root.uri} {'holds no image' if root.exists else 'does not exist'}" for root in roots)
        raise DataError(f"images: no image found: {state}; expected folders with .jpg or .png files")
    return roots, _by_id(item for found in listed for item in found or ())


def printable(path: str) -> str:
    """A path as UTF-8 text: bytes of a name that are none are written as backslash escapes."""
    return path.encode("utf-8", "backslashreplace").decode()


def _listed(uri: str) -> list[StoredObject] | None:
    try:
        return store.list_images(uri)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(f"images: {uri} cannot be listed ({error.strerror}); give this process the right to") from None


def _by_id(items: Iterable[StoredObject]) -> dict[str, list[StoredObject]]:
    found: dict[str, list[StoredObject]] = {}
    seen = set()
    for item in items:
        if item.uri not in seen:
            seen.add(item.uri)
            found.setdefault(item.name.rpartition(".")[0], []).append(item)
    return found
