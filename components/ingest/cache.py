"""Verdicts of bytes seen before, so that unchanged images cost a hash and no decoding.

Keyed by content: sha256 and the name's suffix, which decides about mislabelled formats. Verdicts come from
the folder given as `cache` and from the artifact a new one replaces; those of another inspector are not used.
The cache folder also knows sha256 by URI and version (docs/adr/0005), which saves even the reading.
"""

from __future__ import annotations

import io
import logging
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path

import pandas as pd
import pyarrow as pa

from components.common.artifacts import index
from components.common.artifacts.folder import open_artifact
from components.common.imaging.inspect import INSPECTOR, Inspection
from components.common.imaging.kinds import format_of_name
from components.common.runtime.errors import ArtifactError, LesionflowError
from components.common.storage import store
from components.common.storage.retry import StoredObject
from components.common.storage.store import suffix_of

log = logging.getLogger(__name__)

_FIELDS = [field.name for field in fields(Inspection)]
_INSPECTIONS = f"inspections-{INSPECTOR}.parquet"
_VERSIONS = f"versions-{INSPECTOR}.parquet"


class Cache:
    """What is known of bytes and of stored versions; safe for threads (single dict operations)."""

    def __init__(self, *, rehash: bool = False) -> None:
        self._rehash = rehash
        self.inspections: dict[tuple[str, str], Inspection] = {}
        self.versions: dict[tuple[str, str], str] = {}
        self.hits = 0
        self._new = False
        self._just_checked: dict[tuple[str, str], str] = {}  # versions that parts of this very run have read
        self._used: set[tuple[str, str]] = set()
        self._used_versions: set[tuple[str, str]] = set()

    def get(self, sha256: str, name: str) -> Inspection | None:
        """The verdict on these bytes under a name with this suffix, if it is known."""
        key = (sha256, suffix_of(name))
        found = self.inspections.get(key)
        if found is not None:
            self.hits += 1
            self._used.add(key)
        return found

    def by_version(self, item: StoredObject) -> tuple[str, Inspection] | None:
        """sha256 and verdict of a stored object, if this very version of it was read before."""
        key = (item.uri, item.version)
        sha256 = self._just_checked.get(key)
        if sha256 is None and item.version and not self._rehash:
            sha256 = self.versions.get(key)
        if sha256:
            self._used_versions.add(key)
        found = self.get(sha256, item.name) if sha256 else None
        return (sha256, found) if sha256 and found else None

    def add(self, item: StoredObject, sha256: str, inspection: Inspection) -> None:
        """Remembers the verdict on an object's bytes."""
        key = (sha256, suffix_of(item.name))
        self._new |= key not in self.inspections
        self.inspections[key] = inspection
        self._used.add(key)
        if item.version:
            self._used_versions.add((item.uri, item.version))
            self._new |= self.versions.get((item.uri, item.version)) != sha256
            self.versions[(item.uri, item.version)] = sha256

    def load(self, folder: str) -> None:
        """Adds what the cache folder (path or URI) knows; an absent or unreadable one adds nothing."""
        inspections = _read(folder, _INSPECTIONS, ["sha256", "suffix", *_FIELDS])
        versions = _read(folder, _VERSIONS, ["uri", "version", "sha256"])
        self.inspections |= {
            (sha256, suffix): Inspection(*values)
            for sha256, suffix, *values in inspections.itertuples(index=False, name=None)
        }
        self.versions |= {
            (uri, version): sha256 for uri, version, sha256 in versions.itertuples(index=False, name=None)
        }

    def load_part(self, folder: Path) -> None:
        """Adds what a part of this run has found; its files are not read again, also where `rehash` was asked for."""
        open_artifact(folder, "index_part")
        before = self.versions
        self.versions = {}
        self.load(str(folder))
        self._just_checked |= self.versions
        self.versions = before | self.versions
        self._new = True

    def load_artifact(self, out: Path) -> None:
        """Adds the verdicts of the index artifact at `out`, if there is an intact one."""
        if not out.is_dir() or not any(out.iterdir()):
            return
        try:
            open_artifact(out, "index")
            if index.read_account(out)["inspector"] != INSPECTOR:
                return
            table = index.read_index(out, ["sha256", "uri", *_FIELDS])
        except (ArtifactError, KeyError, OSError) as error:
            log.info("the earlier index at %s is not used: %s", out, error)
            return
        for sha256, uri, *values in table.itertuples(index=False, name=None):
            inspection = Inspection(*values)
            if sha256 and inspection.verdict in index.ABOUT_BYTES:
                named_dicom = format_of_name(uri) == "dicom" and inspection.verdict != index.Verdict.MISLABELLED
                # the JPEG in a DICOM file is asked for under a name of its own, see `picture_in`
                suffix = ".jpg" if named_dicom and inspection.format == "jpeg" else suffix_of(uri)
                self.inspections[(sha256, suffix)] = inspection

    def save(self, folder: str) -> None:
        """Writes everything known to the cache folder; a failure costs time later, not the run."""
        if not self._new:
            return
        inspections, versions = self._tables(self.inspections, self.versions)
        try:
            with tempfile.TemporaryDirectory() as scratch:
                for name, table in ((_INSPECTIONS, inspections), (_VERSIONS, versions)):
                    table.to_parquet(Path(scratch) / name, index=False)
                    store.upload(Path(scratch) / name, store.join(folder, name))
        except (LesionflowError, OSError) as error:
            log.warning("the cache %s could not be written: %s", folder, error)

    def write_used(self, folder: Path) -> None:
        """Writes into a folder what was asked for or added since this cache was made."""
        versions = self._used_versions & self.versions.keys()
        inspections, table = self._tables(self._used, versions)
        inspections.to_parquet(folder / _INSPECTIONS, index=False)
        table.to_parquet(folder / _VERSIONS, index=False)

    def _tables(
        self, inspections: Iterable[tuple[str, str]], versions: Iterable[tuple[str, str]]
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        rows = [(*key, *(getattr(self.inspections[key], name) for name in _FIELDS)) for key in sorted(inspections)]
        return (
            pd.DataFrame(rows, columns=["sha256", "suffix", *_FIELDS]),
            pd.DataFrame(
                [(*key, self.versions[key]) for key in sorted(versions)], columns=["uri", "version", "sha256"]
            ),
        )


def _read(folder: str, name: str, columns: Sequence[str]) -> pd.DataFrame:
    uri = store.join(folder, name)
    try:
        return pd.read_parquet(io.BytesIO(store.read_bytes(uri)), columns=list(columns))
    except FileNotFoundError:
        pass
    except (LesionflowError, OSError, pa.ArrowException) as error:
        log.warning("the cache %s is not used: %s", uri, error)
    return pd.DataFrame(columns=list(columns))
