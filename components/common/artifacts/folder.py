"""Artifacts: folders that say what they are, what they were made from, and what each file hashes to.

A step writes into a scratch directory, and the finished folder is moved into place, so a reader never sees half an
artifact. `artifact.json` holds no time and no path: equal work gives equal bytes, and the digest of an artifact stands
for all of its content.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Collection, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import StringConstraints

from components.common.artifacts.atomic import is_scratch, recover, replacing, resolved
from components.common.artifacts.json_file import (
    MOST_BYTES,
    Sha256,
    dump_json,
    read_record,
    shown,
    write_atomic,
)
from components.common.artifacts.place import refuse_among_images
from components.common.runtime.errors import ArtifactError, ConfigError

Kind = Literal[
    "index",
    "index_part",
    "split",
    "records",
    "records_part",
    "model",
    "policy",
    "bundle",
    "evaluation",
    "report",
    "validation",
    "monitor",
]

MANIFEST = "artifact.json"
SIGNATURE = "model.sig"  # of a bundle, written after it: `artifact.json` does not list it, it covers `artifact.json`
SCHEMA = "lesionflow.artifact/1"
_MOST_NAME = 255
_EMPTY = "assets"  # a folder that TensorFlow makes in every SavedModel, and that object stores do not keep


@dataclass(frozen=True)
class Artifact:
    """A finished artifact on disk.

    Attributes:
        path: the folder.
        kind: what it is, one of `Kind` where this version made it.
        digest: sha256 (hex) of its `artifact.json`, which covers every file in it.
        made_from: digest or sha256 of each input, by the input's name.
        files: sha256 (hex) of each file, by its path inside the folder.
    """

    path: Path
    kind: str
    digest: str
    made_from: dict[str, str]
    files: dict[str, str]


def sha256_bytes(data: bytes) -> str:
    """sha256 of bytes, in hex."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """sha256 of a file, in hex; memory stays flat."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


@contextmanager
def new_artifact(out: Path, kind: Kind, made_from: Mapping[str, str]) -> Iterator[Path]:
    """Yields a scratch folder to fill; on success it becomes `out`, on any error it is removed.

    Args:
        out: the target. Absent, empty, or an artifact of the same kind, which is then replaced.
        kind: what is being made.
        made_from: digest of every input, by name.

    Raises:
        ConfigError: `out` cannot be made or written.
        ArtifactError: `out` holds something that is not such an artifact; it is left alone. Or its file system became
            full.
    """
    try:
        refuse_among_images(out)
        _check_replaceable(out, kind)
    except OSError as error:
        raise ConfigError(f"{out}: cannot be written ({error.strerror}); choose another --out") from error
    with replacing(out) as folder:
        yield folder
        files = {name: sha256_file(folder / name) for name in _files(folder)}
        record = dump_json({"schema": SCHEMA, "kind": kind, "made_from": dict(made_from), "files": files})
        if len(record.encode()) > MOST_BYTES:
            raise ArtifactError(f"{out}: {len(files)} files are too many for one artifact; make larger and fewer ones")
        write_atomic(folder / MANIFEST, record)


def open_artifact(path: Path, kind: Kind | None = None, *, verify: bool = True) -> Artifact:
    """Opens the artifact at `path`, of any kind where none is given; with `verify`, hashes every file in it.

    Raises:
        ArtifactError: not such an artifact, a file is missing, added, changed or a link.
    """
    artifact = listed_artifact(path, kind)
    _check_present(artifact, {SIGNATURE} if artifact.kind == "bundle" else set())
    if verify:
        _check_hashes(artifact)
    return artifact


def open_files(path: Path, kind: Kind, names: Collection[str]) -> Artifact:
    """Opens the artifact at `path` for some of its files: they alone are hashed, and the artifact names no others.

    Raises:
        ArtifactError: not an artifact of this kind, or one of these files is missing or changed.
    """
    whole = listed_artifact(path, kind)
    artifact = replace(whole, files={name: digest for name, digest in whole.files.items() if name in names})
    absent = next((name for name in artifact.files if not (path / name).is_file()), None)
    if absent is not None:
        raise ArtifactError(f"{path / absent}: missing; the artifact is incomplete, {_way_out(kind)}")
    _check_hashes(artifact)
    return artifact


def _check_hashes(artifact: Artifact) -> None:
    for name, expected in artifact.files.items():
        received = sha256_file(artifact.path / name)
        if received != expected:
            raise ArtifactError(
                f"{artifact.path / name}: sha256 is {received}, {MANIFEST} says {expected}; {_way_out(artifact.kind)}"
            )


def listed_artifact(path: Path, kind: Kind | None = None) -> Artifact:
    """The artifact at `path` as its `artifact.json` describes it, without checking that its files are there.

    Raises:
        ArtifactError: not an artifact, or not one of the kind that is given.
    """
    expected = f"{_a(kind)} artifact" if kind else "an artifact"
    _settle(path)
    if not path.is_dir():
        raise ArtifactError(f"{path}: no such folder; expected {expected} made by lesionflow")
    if not (path / MANIFEST).is_file():
        raise ArtifactError(f"{path}: not {expected}, it has no {MANIFEST}; expected a folder that lesionflow made")
    record = read_record(path / MANIFEST, SCHEMA, _Manifest, _way_out(kind))
    if kind not in (None, record.kind):
        raise ArtifactError(f"{path}: this is {_a(record.kind)} artifact, expected {expected}")
    return Artifact(path, record.kind, sha256_file(path / MANIFEST), record.made_from, record.files)


@dataclass(frozen=True)
class _Manifest:
    """The content of `artifact.json`."""

    kind: Annotated[str, StringConstraints(pattern=r"^[a-z_]{1,40}$")]  # another version may know others
    made_from: dict[str, str]
    files: dict[str, Sha256]

    def __post_init__(self) -> None:
        for name in self.files:
            path = PurePosixPath(name)
            if (
                not name.isprintable()
                or len(name) > _MOST_NAME
                or path.is_absolute()
                or path.as_posix() != name
                or {"", "..", MANIFEST} & {name, *path.parts}
                or name == SIGNATURE
            ):
                raise ArtifactError(
                    f"files: {shown(name)} is not the name of a file inside the artifact; make it again"
                )


def _settle(path: Path) -> None:
    """Finishes the replacement of an artifact that was killed while it was put in place."""
    with suppress(OSError, ConfigError):  # no right to write there: the artifact is judged as it is
        if not path.is_dir() or any(is_scratch(entry.name) for entry in path.iterdir()):
            recover(resolved(path))


def _way_out(kind: str | None) -> str:
    """What to do; whoever has a bundle has often received it, and cannot make it again."""
    received = ", or if you received it, fetch it again from whoever sent it"
    return f"make it again{received if kind == 'bundle' else ''}"


def _check_present(artifact: Artifact, beside: AbstractSet[str]) -> None:
    """Refuses missing and additional files and folders, links, and what is neither file nor folder."""
    path, files = artifact.path, artifact.files
    present, folders = _content(path)
    absent = [name for name in files if name not in present]
    if absent:
        raise ArtifactError(f"{path / absent[0]}: missing; the artifact is incomplete, {_way_out(artifact.kind)}")
    extra = sorted(present - set(files) - beside)
    if extra:
        name = extra[0] if extra[0].isprintable() else shown(extra[0])
        raise ArtifactError(f"{path}: {name} is not part of the artifact ({len(extra)} such files); remove it")
    needed = {parent.as_posix() for name in files for parent in PurePosixPath(name).parents}
    unknown = sorted(name for name in folders - needed if PurePosixPath(name).name != _EMPTY)
    if unknown:
        name = unknown[0] if unknown[0].isprintable() else shown(unknown[0])
        raise ArtifactError(f"{path}: folder {name} is not part of the artifact; remove it")


def _files(folder: Path) -> list[str]:
    return sorted(_content(folder)[0] - {SIGNATURE})


def _content(folder: Path) -> tuple[set[str], set[str]]:
    """Names of the files and of the folders below `folder`, without `artifact.json`.

    Raises:
        ArtifactError: there is a link, which would lead out of what the artifact's hashes protect, or a device or pipe.
    """
    files: set[str] = set()
    folders: set[str] = set()
    waiting = [""]
    while waiting:
        below = waiting.pop()
        for entry in os.scandir(folder / below):
            name = f"{below}/{entry.name}" if below else entry.name
            kind = entry.stat(follow_symlinks=False).st_mode
            if stat.S_ISDIR(kind) and not (not below and is_scratch(entry.name)):
                folders.add(name)
                waiting.append(name)
            elif stat.S_ISREG(kind):
                files.add(name)
            elif not stat.S_ISDIR(kind):
                what = "a link" if stat.S_ISLNK(kind) else "neither a file nor a folder"
                raise ArtifactError(f"{folder}: {shown(name)} is {what}, expected files only; put a copy in its place")
    return files - {MANIFEST}, folders


def _check_replaceable(out: Path, kind: Kind) -> None:
    _settle(out)
    if not out.exists() or (out.is_dir() and all(is_scratch(entry.name) for entry in out.iterdir())):
        return
    if not out.is_dir() or not (out / MANIFEST).is_file():
        raise ArtifactError(f"{out}: already exists and was not made by lesionflow; choose another --out or remove it")
    made = read_record(out / MANIFEST, SCHEMA, _Manifest, "choose another --out or remove it").kind
    if made != kind:
        raise ArtifactError(f"{out}: this is {_a(made)} artifact, expected {_a(kind)} artifact; choose another --out")


def _a(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"
