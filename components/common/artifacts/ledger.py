"""The test ledger: when a test set was opened, and by which bundle. A test set that is opened often is chosen on.

It outlives runs, so it lies in no artifact but in a folder or bucket that runs can append to. In a folder it is one
file, `test_ledger.jsonl`, a line per opening. Objects cannot be appended to: in a bucket each opening is an object
of its own below `test_ledger/`, so that two runs at once lose nothing. An evaluation keeps in `openings.json` what
the ledger said when it opened its test set.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from components.common.artifacts.json_file import Document, read_record, write_json
from components.common.runtime.errors import ArtifactError, ConfigError
from components.common.storage import store

SCHEMA = "lesionflow.openings/1"
FILE = "openings.json"
NAME = "test_ledger"
LINES = f"{NAME}.jsonl"


class Opening(Document):
    """One evaluation of a test split.

    Attributes:
        split: sha256 of the split, as in `split.json`.
        bundle: digest of the bundle.
        commit: of the code that evaluated it.
        time: when its images were about to be read, UTC.
    """

    split: str
    bundle: str
    commit: str
    time: str


class _Openings(Document):
    openings: list[Opening]


def now() -> str:
    """The time as openings have it: `2026-11-28T08:15:00Z`."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def append(place: str, opening: Opening) -> list[Opening]:
    """Records an opening.

    Returns:
        All openings of that split, the new one last.

    Raises:
        ConfigError: nothing can be written there.
        StorageError: storage refused, or kept failing.
        ArtifactError: the ledger holds something that is not an opening.
    """
    try:
        if store.is_local(place):
            file = store.local_path(place) / LINES
            before = _append_line(file, opening.model_dump_json())
            found = [_parsed(line, f"{file} line {k}") for k, line in enumerate(before, 1) if line.strip()]
        else:
            found = _append_object(store.join(place, NAME), opening)
    except OSError as error:
        raise ConfigError(
            f"ledger: received {place!r}; allowed: a folder, or a URI below an existing bucket, that this process may "
            f"write to ({error})"
        ) from error
    return [*(one for one in found if one.split == opening.split), opening]


def _append_line(file: Path, line: str) -> list[str]:
    """The lines that were there."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a+b") as handle:
        with suppress(OSError):  # a file system without locks: appending a line at once is all that can be done there
            fcntl.flock(handle, fcntl.LOCK_EX)
        handle.seek(0)
        before = handle.read()
        cut = b"" if before.endswith(b"\n") or not before else b"\n"  # a full disk ended the last line early
        handle.write(cut + line.encode() + b"\n")
        handle.flush()
        os.fsync(handle.fileno())
    return before.decode("utf-8", errors="replace").splitlines()


def _append_object(folder: str, opening: Opening) -> list[Opening]:
    """The openings of the same split that were there."""
    below = store.join(folder, opening.split[:16])
    name = f"{opening.time.replace(':', '')}-{secrets.token_hex(6)}.json"
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / name
        path.write_text(opening.model_dump_json(), encoding="utf-8")
        store.upload(path, store.join(below, name))
    others = [item.uri for item in store.list_files(below) if item.name != name]
    return [_parsed(store.read_bytes(uri).decode("utf-8", errors="replace"), uri) for uri in others]


def _parsed(text: str, where: str) -> Opening:
    try:
        return Opening.model_validate_json(text)
    except ValidationError as error:
        raise ArtifactError(f"{where}: not an opening of a test set; correct it, or give another ledger") from error


def save_openings(path: Path, openings: Sequence[Opening]) -> None:
    """Writes `openings.json`."""
    write_json(path, {"schema": SCHEMA, "openings": [one.model_dump() for one in openings]})


def load_openings(path: Path) -> list[Opening]:
    """Reads `openings.json`; no openings where there is no such file: no ledger was kept.

    Raises:
        ArtifactError: an opening lacks a field or has one of another type.
    """
    if not path.is_file():
        return []
    return read_record(path, SCHEMA, _Openings, "evaluate the bundle again").openings


def bundles_of(openings: Sequence[Opening]) -> list[str]:
    """Digests of the bundles that opened the test set, the first one first."""
    return list(dict.fromkeys(one.bundle for one in openings))


def times_text(times: int) -> str:
    """`once` or `5 times`."""
    return "once" if times == 1 else f"{times} times"
