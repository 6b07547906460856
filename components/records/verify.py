"""Checks the shards of a records artifact against its manifest and names every damage."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from components.common.artifacts.folder import MANIFEST as ARTIFACT
from components.common.artifacts.folder import listed_artifact, sha256_file
from components.common.artifacts.record import decode_record
from components.common.artifacts.records_manifest import MANIFEST, Shard, read_manifest
from components.common.artifacts.tfrecord import scan_tfrecord
from components.common.runtime.errors import ArtifactError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Damage:
    """Something wrong in a records artifact.

    Attributes:
        file: name of the file.
        record: record number from 0, or None where no single record is concerned.
        start: first byte concerned.
        end: byte after the last.
        what: what is wrong.
    """

    file: str
    record: int | None
    start: int
    end: int
    what: str

    def __str__(self) -> str:
        record = "" if self.record is None else f" record {self.record},"
        return f"{self.file}:{record} bytes {self.start} to {self.end}: {self.what}"


def verify(path: Path) -> int:
    """Reads every byte of the records artifact at `path`.

    Returns:
        The number of records checked.

    Raises:
        ArtifactError: one line for each damaged shard, record and byte range.
    """
    found, records = damages(path)
    for one in found:
        log.error("%s", one)
    if found:
        first = "\n".join(str(one) for one in found[:20])
        raise ArtifactError(f"{path}: {len(found)} damaged places; run the records step again\n{first}")
    log.info("%s: all %d records are intact", path, records)
    return records


def damages(path: Path) -> tuple[list[Damage], int]:
    """All damage found in the artifact at `path`, and the number of intact records.

    Raises:
        ArtifactError: the artifact's own list of files cannot be read.
    """
    listed = listed_artifact(path, "records").files
    manifest = path / MANIFEST
    if manifest.is_file() and sha256_file(manifest) != listed.get(manifest.name):
        return [Damage(manifest.name, None, 0, manifest.stat().st_size, "its sha256 is not that of artifact.json")], 0
    shards = _listed_shards(path)
    out: list[Damage] = []
    for name, expected in listed.items():
        file = path / name
        if not file.is_file():
            out.append(Damage(name, None, 0, shards[name].bytes if name in shards else 0, "the file is missing"))
        elif file.is_symlink():
            out.append(Damage(name, None, 0, file.stat().st_size, "a symbolic link, expected a file"))
        elif expected != (shards[name].sha256 if name in shards else sha256_file(file)):
            out.append(Damage(name, None, 0, file.stat().st_size, f"its sha256 is not {expected}"))
    present = {p.name for p in path.iterdir()} - {ARTIFACT}
    out += [Damage(name, None, 0, 0, "not part of the artifact") for name in sorted(present - set(listed))]
    whole = 0
    for name, shard in shards.items():
        if (path / name).is_file():
            bad, good = _check_shard(path / name, shard)
            out += bad
            whole += good
    return out, whole


def _listed_shards(path: Path) -> dict[str, Shard]:
    return {shard.name: shard for split in read_manifest(path).splits.values() for shard in split.shards}


def _check_shard(path: Path, shard: Shard) -> tuple[list[Damage], int]:
    """Damage and number of intact records of one shard. Only a shard whose hash is wrong is read record by record."""
    if sha256_file(path) == shard.sha256:
        return [], shard.records
    out: list[Damage] = []
    whole, end = 0, 0
    for frame in scan_tfrecord(path):
        end = frame.end
        what = frame.damage or _unreadable(frame.data)
        if what:
            out.append(Damage(path.name, frame.number, frame.start, frame.end, what))
        elif frame.start >= shard.bytes:
            out.append(Damage(path.name, frame.number, frame.start, frame.end, "a record beyond the end of the shard"))
        else:
            whole += 1
    if end < shard.bytes and not out:
        missing = f"the file ends here; {shard.records - whole} records and {shard.bytes - end} bytes are missing"
        out.append(Damage(path.name, whole, end, shard.bytes, missing))
    if not out:  # every checksum is right: the file holds other records
        out.append(Damage(path.name, None, 0, end, f"intact records, but not those of the manifest ({shard.sha256})"))
    return out, whole


def _unreadable(data: bytes) -> str:
    try:
        decode_record(data)
    except ArtifactError as error:
        return str(error)
    return ""
