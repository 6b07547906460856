"""Artifacts in an object store: fetched by the list of files that each carries."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from components.common.artifacts.folder import MANIFEST, SIGNATURE, Kind, listed_artifact
from components.common.runtime.errors import ArtifactError
from components.common.storage import store


def local_artifact(uri: str, kind: Kind, scratch: Path, names: Collection[str] | None = None) -> Path:
    """The folder of an artifact: its own where it is local, else a download into `scratch`; not verified yet.

    Args:
        uri: folder or URI.
        kind: kind of the artifact.
        scratch: folder for a download.
        names: files to download, as far as the artifact has them; None: all of them.

    Raises:
        ArtifactError: there is none, or one of its files is missing.
        StorageError: storage refused or kept failing.
    """
    if store.is_local(uri):
        return store.local_path(uri)
    scratch.mkdir(parents=True, exist_ok=True)
    _copy(uri, MANIFEST, scratch)
    for name in listed_artifact(scratch, kind).files:
        if names is None or name in names:
            _copy(uri, name, scratch)
    if names is None and kind == "bundle" and store.exists(store.join(uri, SIGNATURE)):
        _copy(uri, SIGNATURE, scratch)
    return scratch


def refuse_other(folder: Path, kind: Kind, digest: str) -> None:
    """Refuses an artifact that does not have the expected digest; an empty digest expects none.

    Raises:
        ArtifactError: its digest is another.
    """
    if digest and (found := listed_artifact(folder, kind).digest) != digest.lower():
        raise ArtifactError(
            f"{folder}: digest is {found}, expected {digest}; this is another {kind}, or it was changed since: ask "
            "whoever gave the digest"
        )


def _copy(uri: str, name: str, folder: Path) -> None:
    try:
        data = store.read_bytes(store.join(uri, name))
    except FileNotFoundError as error:
        raise ArtifactError(f"{store.join(uri, name)}: no such object; expected a whole artifact at {uri}") from error
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
