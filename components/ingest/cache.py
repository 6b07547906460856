"""Verdicts of bytes seen before, so that unchanged images cost a hash and no decoding.

Keyed by content: sha256 and the name's suffix, which decides about mislabelled formats. Verdicts come from
the folder given as `cache` and from the artifact a new one replaces; those of another inspector are not used.
The cache folder also knows sha256 by URI and version (docs/adr/0005), which saves even the reading.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from components.common.artifacts.folder import open_artifact, read_json
from components.common.imaging.inspect import INSPECTOR, Inspection
from components.common.parquet import Columns, read_parquet, write_parquet
from components.common.runtime.errors import ArtifactError, LesionflowError
from components.common.storage import store
from components.common.storage.store import StoredObject, suffix_of

log = logging.getLogger(__name__)

_NAMES = tuple(field.name for field in fields(Inspection))
_KINDS = {**dict.fromkeys(("width", "height", "channels", "orientation"), "int64"), "thumbnail": "binary"}
_FILE = f"inspections-{INSPECTOR}.parquet"
_VERSIONS = f"versions-{INSPECTOR}.parquet"


class Cache:
    """What is known of bytes and of stored versions; safe for threads (single dict operations)."""

    def __init__(self, *, rehash: bool = False) -> None:
        self._rehash = rehash
        self.inspections: dict[tuple[str, str], Inspection] = {}
        self.versions: dict[tuple[str, str], str] = {}
        self.hits = 0
        self._new = False

    def get(self, sha256: str, name: str) -> Inspection | None:
        """The verdict on these bytes under a name with this suffix, if it is known."""
        found = self.inspections.get((sha256, suffix_of(name)))
        if found is not None:
            self.hits += 1
        return found

    def by_version(self, item: StoredObject) -> tuple[str, Inspection] | None:
        """sha256 and verdict of a stored object, if this very version of it was read before."""
        sha256 = self.versions.get((item.uri, item.version)) if item.version and not self._rehash else None
        found = self.get(sha256, item.name) if sha256 else None
        return (sha256, found) if sha256 and found else None

    def add(self, item: StoredObject, sha256: str, inspection: Inspection) -> None:
        """Remembers the verdict on an object's bytes."""
        key = (sha256, suffix_of(item.name))
        self._new |= key not in self.inspections
        self.inspections[key] = inspection
        if item.version:
            self._new |= self.versions.get((item.uri, item.version)) != sha256
            self.versions[(item.uri, item.version)] = sha256

    def load(self, folder: str) -> None:
        """Adds what the cache folder (path or URI) knows; an absent or unreadable one adds nothing."""
        inspections = _table(folder, _FILE, ("sha256", "suffix", *_NAMES))
        versions = _table(folder, _VERSIONS, ("uri", "version", "sha256"))
        if inspections is not None:
            keys = zip(inspections["sha256"], inspections["suffix"], strict=True)
            self.inspections.update(zip(keys, _inspections(inspections), strict=True))
        if versions is not None:
            keys = zip(versions["uri"], versions["version"], strict=True)
            self.versions.update(zip(keys, versions["sha256"], strict=True))

    def load_artifact(self, out: Path) -> None:
        """Adds the verdicts of an index artifact at `out`, if there is a sound one."""
        if not (out / "index.parquet").is_file():
            return
        try:
            open_artifact(out, "index")
            if read_json(out / "ingest.json", "lesionflow.ingest/1")["inspector"] != INSPECTOR:
                return
            table = read_parquet(out / "index.parquet", ("sha256", "uri", *_NAMES))
        except (ArtifactError, KeyError, OSError) as error:
            log.info("the earlier index at %s is not used: %s", out, error)
            return
        for uri, sha256, inspection in zip(table["uri"], table["sha256"], _inspections(table), strict=True):
            # a verdict about the row, not the bytes, cannot be taken over
            if sha256 and inspection.verdict in ("ok", "corrupt", "mislabelled", "unsupported"):
                self.inspections[(sha256, suffix_of(uri))] = inspection

    def save(self, folder: str) -> None:
        """Writes everything known to the cache folder; a failure costs time later, not the run."""
        if not self._new:
            return
        keys = sorted(self.inspections)
        values = [self.inspections[key] for key in keys]
        inspections = {"sha256": [key[0] for key in keys], "suffix": [key[1] for key in keys]}
        inspections |= {name: [getattr(value, name) for value in values] for name in _NAMES}
        sources = sorted(self.versions)
        versions = {
            "uri": [key[0] for key in sources], "version": [key[1] for key in sources],
            "sha256": [self.versions[key] for key in sources],
        }  # fmt: skip
        try:
            with tempfile.TemporaryDirectory() as scratch:
                for name, columns in ((_FILE, inspections), (_VERSIONS, versions)):
                    write_parquet(Path(scratch) / name, columns, dict.fromkeys(columns, "string") | _KINDS)
                    store.upload(Path(scratch) / name, store.join(folder, name))
        except (LesionflowError, OSError) as error:
            log.warning("the cache %s could not be written: %s", folder, error)


def _table(folder: str, name: str, columns: Sequence[str]) -> Columns | None:
    try:
        return read_parquet(store.read_bytes(store.join(folder, name)), columns)
    except FileNotFoundError:
        return None
    except (LesionflowError, OSError) as error:
        log.warning("the cache %s is not used: %s", store.join(folder, name), error)
        return None


def _inspections(table: Columns) -> list[Inspection]:
    return [Inspection(*values) for values in zip(*(table[name] for name in _NAMES), strict=True)]
