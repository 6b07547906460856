"""Artifacts: folders that say what they are, what they were made from, and what each file hashes to.

A step writes into a scratch folder beside the target and the finished folder is moved into place, so
a reader never sees half an artifact. `artifact.json` holds no time and no path: equal work gives
equal bytes, and the digest of an artifact can stand for all of its content.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.common.artifacts.atomic import replacing
from components.common.runtime.errors import ArtifactError

MANIFEST = "artifact.json"
SCHEMA = "lesionflow.artifact/1"


@dataclass(frozen=True)
class Artifact:
    """A finished artifact on disk.

    Attributes:
        path: the folder.
        kind: what it is: index, split, records, model, policy, bundle, evaluation.
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


def dump_json(value: Any) -> str:
    """JSON with sorted keys; refuses NaN and infinity, which other readers would choke on.

    Raises:
        ValueError: a non-finite number.
        TypeError: a value that JSON does not know (a NumPy scalar, for example).
    """
    return json.dumps(value, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"


def write_atomic(path: Path, data: bytes | str) -> None:
    """Writes a file under a scratch name beside it, then renames it into place."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}.partial")
    scratch.write_bytes(data.encode() if isinstance(data, str) else data)
    scratch.replace(path)


def write_json(path: Path, value: Any) -> None:
    """Writes `dump_json(value)` atomically."""
    write_atomic(path, dump_json(value))


def read_json(path: Path, schema: str) -> dict[str, Any]:
    """Reads a JSON object whose `schema` field must be `schema`.

    Raises:
        ArtifactError: the file is missing, is no JSON object, or has another schema.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError(f"{path}: no such file; expected a {schema} file there") from None
    except (ValueError, OSError) as error:
        raise ArtifactError(f"{path}: not readable as JSON ({error})") from None
    received = value.get("schema") if isinstance(value, dict) else type(value).__name__
    if received != schema:
        raise ArtifactError(f"{path}: expected schema {schema!r}, received {received!r}")
    return dict(value)


@contextmanager
def new_artifact(out: Path, kind: str, made_from: Mapping[str, str]) -> Iterator[Path]:
    """Yields a scratch folder to fill; on success it becomes `out`, on any error it is removed.

    Args:
        out: the target. Absent, empty, or an artifact of the same kind, which is then replaced.
        kind: what is being made.
        made_from: digest of every input, by name.

    Raises:
        ArtifactError: `out` holds something that is not such an artifact; it is left alone.
    """
    _check_replaceable(out, kind)
    with replacing(out) as folder:
        yield folder
        files = {name: sha256_file(folder / name) for name in _files(folder)}
        write_json(folder / MANIFEST, {"schema": SCHEMA, "kind": kind, "made_from": dict(made_from), "files": files})


def open_artifact(path: Path, kind: str, *, verify: bool = True) -> Artifact:
    """Opens the artifact at `path` and, with `verify`, hashes every file in it.

    Raises:
        ArtifactError: not an artifact of this kind, a file is missing, added or changed.
    """
    if not path.is_dir():
        raise ArtifactError(f"{path}: no such folder; expected {_a(kind)} artifact made by lesionflow")
    record = read_json(path / MANIFEST, SCHEMA)
    if record["kind"] != kind:
        raise ArtifactError(f"{path}: this is {_a(record['kind'])} artifact, expected {_a(kind)} artifact")
    files: dict[str, str] = record["files"]
    if verify:
        _check_files(path, files)
    return Artifact(path, kind, sha256_file(path / MANIFEST), dict(record["made_from"]), files)


def _check_files(path: Path, files: Mapping[str, str]) -> None:
    present = set(_files(path))
    for name, expected in files.items():
        if name not in present:
            raise ArtifactError(f"{path / name}: missing; the artifact is incomplete, make it again")
        received = sha256_file(path / name)
        if received != expected:
            raise ArtifactError(f"{path / name}: sha256 is {received}, {MANIFEST} says {expected}; make it again")
    extra = sorted(present - set(files))
    if extra:
        raise ArtifactError(f"{path / extra[0]}: not part of the artifact ({len(extra)} such files); remove it")


def _files(folder: Path) -> list[str]:
    names = (p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    return sorted(name for name in names if name != MANIFEST)


def _check_replaceable(out: Path, kind: str) -> None:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not out.is_dir() or not (out / MANIFEST).is_file():
        raise ArtifactError(f"{out}: already there and not made by lesionflow; choose another --out or remove it")
    open_artifact(out, kind, verify=False)


def _a(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"
