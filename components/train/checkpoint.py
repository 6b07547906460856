"""The resume file: one file with every array and counter that decides the result, replaced as a whole.

Keras's `BackupAndRestore` forgets the best value and the waiting counters, so that after a resume a
worse model overwrites the best one. Here weights, optimizer, average, best weights and `RunState` are
one atomic file, and it says which records and which configuration it belongs to.
"""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.common import storage
from components.common.artifacts import sha256_bytes, write_atomic
from components.common.errors import ArtifactError
from components.train.config import TrainConfig
from components.train.schedule import RunState

SCHEMA = "lesionflow.checkpoint/1"
NAME = "resume.ckpt"
Arrays = dict[str, list[npt.NDArray[np.generic]]]

# these change where and how fast a run computes, not what
_NOT_IDENTITY = frozenset({"checkpoint_dir", "feed_threads", "cache"})


@dataclass(frozen=True)
class Checkpoint:
    """What a resume file holds.

    Attributes:
        identity: sha256 of records and configuration.
        state: counters and history.
        arrays: lists of arrays by group: weights, optimizer, average, best.
    """

    identity: str
    state: RunState
    arrays: Arrays


def identity_of(config: TrainConfig, records_digest: str) -> str:
    """sha256 over everything that decides the result: the records and the parameters."""
    parameters = {k: v for k, v in config.model_dump(mode="json").items() if k not in _NOT_IDENTITY}
    return sha256_bytes(json.dumps({"records": records_digest, **parameters}, sort_keys=True).encode())


class CheckpointStore:
    """One resume file in a folder or under a URI."""

    def __init__(self, place: str, identity: str) -> None:
        """Prepares a store.

        Args:
            place: folder or URI; empty keeps nothing.
            identity: of this run.
        """
        self.place, self.identity = place, identity
        self.uri = storage.join(place, NAME) if place else ""

    def save(self, state: RunState, arrays: Arrays) -> None:
        """Replaces the resume file."""
        if not self.place:
            return
        data = _pack(Checkpoint(self.identity, state, arrays))
        if storage.is_local(self.place):
            folder = storage.local_path(self.place)
            folder.mkdir(parents=True, exist_ok=True)
            write_atomic(folder / NAME, data)
            return
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / NAME
            path.write_bytes(data)
            storage.upload(path, self.uri)

    def load(self) -> Checkpoint | None:
        """The resume file, if there is one.

        Raises:
            ArtifactError: it is damaged, or belongs to other records or another configuration.
        """
        if not self.place or not storage.exists(self.uri):
            return None
        checkpoint = _unpack(storage.read_bytes(self.uri), self.uri)
        if checkpoint.identity != self.identity:
            raise ArtifactError(
                f"{self.uri}: belongs to records and configuration {checkpoint.identity}, this run's are "
                f"{self.identity}; choose another checkpoint_dir, or remove the file to start anew"
            )
        return checkpoint


def _pack(checkpoint: Checkpoint) -> bytes:
    buffer = io.BytesIO()
    sizes = {group: len(items) for group, items in checkpoint.arrays.items()}
    header = {"schema": SCHEMA, "identity": checkpoint.identity, "state": asdict(checkpoint.state), "sizes": sizes}
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("header.json", json.dumps(header))
        for group, items in checkpoint.arrays.items():
            for i, item in enumerate(items):
                with archive.open(f"{group}/{i}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, np.asanyarray(item), allow_pickle=False)
    return buffer.getvalue()


def _unpack(data: bytes, uri: str) -> Checkpoint:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            header = json.loads(archive.read("header.json"))
            if header["schema"] != SCHEMA:
                raise ArtifactError(f"{uri}: expected schema {SCHEMA!r}, received {header['schema']!r}")
            arrays = {group: _group(archive, group, n) for group, n in _sizes(header).items()}
        return Checkpoint(header["identity"], RunState(**header["state"]), arrays)
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, EOFError) as error:
        raise ArtifactError(f"{uri}: damaged resume file ({error}); remove it to start afresh") from None


def _sizes(header: Mapping[str, object]) -> dict[str, int]:
    sizes = header["sizes"]
    if not isinstance(sizes, dict):
        raise ValueError("sizes is no object")
    return sizes


def _group(archive: zipfile.ZipFile, group: str, n: int) -> list[npt.NDArray[np.generic]]:
    out = []
    for i in range(n):
        with archive.open(f"{group}/{i}.npy") as member:
            out.append(np.lib.format.read_array(member, allow_pickle=False))
    return out
