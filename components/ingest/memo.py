"""An index made before from the very same input, kept in the cache folder and taken as it is.

The input is the table, the label policy, and every listed file with its version; one file without a version,
or changed, added or gone, and the index is made anew.
"""

from __future__ import annotations

import hashlib
import logging
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.common.artifacts.folder import dump_json, read_json, sha256_bytes, sha256_file, write_json
from components.common.imaging.inspect import INSPECTOR
from components.common.runtime.errors import ArtifactError, LesionflowError
from components.common.storage import store
from components.common.storage.store import StoredObject

log = logging.getLogger(__name__)

SCHEMA = "lesionflow.ingest-memo/1"
# Raised whenever the same table and files may give another index: what was made before is then not used.
BUILD = 1
FILES = ("index.parquet", "ingest.json")


@dataclass(frozen=True)
class Memo:
    """The place in the cache folder for one data set's last index.

    Attributes:
        folder: path or URI.
        key: digest of everything the index is made from; empty where a file has no version.
    """

    folder: str
    key: str

    def take(self, target: Path) -> dict[str, Any] | None:
        """Puts the remembered files into `target` and returns the index's facts; None if it has none for this key."""
        if not self.key:
            return None
        try:
            with tempfile.TemporaryDirectory() as scratch:
                record = read_json(store.fetch(store.join(self.folder, "memo.json"), Path(scratch)), SCHEMA)
            if record["key"] != self.key:
                return None
            for name in FILES:
                data = store.read_bytes(store.join(self.folder, name))
                if sha256_bytes(data) != record["files"][name]:
                    raise ArtifactError(f"{name} is damaged")
                (target / name).write_bytes(data)
            return dict(record["facts"])
        except FileNotFoundError:
            return None
        except (LesionflowError, KeyError, OSError) as error:
            log.warning("the index kept in %s is not used: %s", self.folder, error)
            for name in FILES:
                (target / name).unlink(missing_ok=True)
            return None

    def keep(self, made: Path, facts: Mapping[str, Any]) -> None:
        """Remembers the files in `made`; a failure costs time later, not the run."""
        if not self.key:
            return
        record = {"schema": SCHEMA, "key": self.key, "facts": dict(facts)}
        record["files"] = {name: sha256_file(made / name) for name in FILES}
        try:
            with tempfile.TemporaryDirectory() as scratch:
                write_json(Path(scratch) / "memo.json", record)
                for path in (*(made / name for name in FILES), Path(scratch) / "memo.json"):
                    store.upload(path, store.join(self.folder, path.name))
        except (LesionflowError, OSError) as error:
            log.warning("the index could not be kept in %s: %s", self.folder, error)


def memo_of(
    cache: str, metadata: str, images: list[str], made_from: Mapping[str, str], files: Iterable[list[StoredObject]]
) -> Memo:
    """The memo of a data set, named by where its table and images are, and what the index would be made from."""
    place = hashlib.sha256(_bytes(dump_json([metadata, *images]))).hexdigest()[:16]
    every = [item for same in files for item in same]
    key = ""
    if all(item.version for item in every):
        digest = hashlib.sha256(_bytes(dump_json([BUILD, INSPECTOR, metadata, images, dict(made_from)])))
        digest.update(_bytes("\n".join(f"{item.uri}\0{item.size}\0{item.version}" for item in every)))
        key = digest.hexdigest()
    return Memo(store.join(cache, f"index-{place}"), key)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")  # a path may be no text
