"""The checkpoint: one file with every array and counter that decides the result, replaced as a whole.

Keras's `BackupAndRestore` forgets the best value and the waiting counters, so that after a resume a
worse model overwrites the best one. Here weights, optimizer, average, best weights and `RunState` are
one atomic file, and it says which records and which configuration it belongs to.
"""

from __future__ import annotations

import io
import json
import tempfile
import time
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.common.artifacts.folder import sha256_bytes
from components.common.artifacts.json_file import write_atomic
from components.common.runtime.errors import ArtifactError, ConfigError
from components.common.storage import store
from components.train.config import TrainConfig
from components.train.schedule import RunState

SCHEMA = "lesionflow.checkpoint/3"
NAME = "resume.ckpt"
Arrays = dict[str, list[npt.NDArray[np.generic]]]

# these change where and how fast a run computes, not its result
_NOT_IDENTITY = frozenset({"checkpoint_dir", "checkpoint_minutes", "feed_threads", "cache", "search_trials"})


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds.

    Attributes:
        identity: sha256 of the facts that decide the result.
        state: counters and history.
        arrays: lists of arrays by group: weights, optimizer, average, best.
    """

    identity: str
    state: RunState
    arrays: Arrays


def run_facts(config: TrainConfig, records_digest: str, policy: str, backend: str) -> dict[str, Any]:
    """Everything that decides the result: the records, the parameters, and what computes with them.

    Precision `auto` is another policy on another GPU, with other optimizer state: a run does not resume there.
    """
    parameters = {k: v for k, v in config.model_dump(mode="json").items() if k not in _NOT_IDENTITY}
    return {**parameters, "records": records_digest, "precision": policy, "backend": backend}


def identity_of(facts: Mapping[str, Any]) -> str:
    """sha256 of `run_facts`."""
    return sha256_bytes(json.dumps(facts, sort_keys=True).encode())


class CheckpointStore:
    """One checkpoint in a folder or under a URI."""

    def __init__(self, place: str, facts: Mapping[str, Any], minutes: float = 0.0) -> None:
        """Prepares a store.

        Args:
            place: folder or URI; empty: nothing is saved.
            facts: what decides this run's result, see `run_facts`.
            minutes: after how long a save within an epoch is due again; 0: never.
        """
        self._seconds, self._saved = 60 * minutes, time.monotonic()
        self.place, self.facts, self.identity = place, dict(facts), identity_of(facts)
        self.uri = store.join(place, NAME) if place else ""

    def due(self) -> bool:
        """Whether the last save is so long ago that a lost node would cost too much."""
        return bool(self.place) and 0 < self._seconds < time.monotonic() - self._saved

    def save(self, state: RunState, arrays: Arrays) -> None:
        """Replaces the checkpoint.

        Raises:
            ConfigError: nothing can be written there.
            StorageError: storage refused, or kept failing.
        """
        if not self.place:
            return
        data = _pack(Checkpoint(self.identity, state, arrays), self.facts)
        try:
            self._write(data)
        except OSError as error:
            raise ConfigError(
                f"checkpoint_dir: received {self.place!r}; allowed: a folder, or a URI below an existing bucket, that "
                f"this process may write to ({error})"
            ) from error
        self._saved = time.monotonic()

    def _write(self, data: bytes) -> None:
        if store.is_local(self.place):
            folder = store.local_path(self.place)
            folder.mkdir(parents=True, exist_ok=True)
            write_atomic(folder / NAME, data)
            return
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / NAME
            path.write_bytes(data)
            store.upload(path, self.uri)

    def load(self) -> Checkpoint | None:
        """The checkpoint, if there is one.

        Raises:
            ArtifactError: it is damaged, or belongs to other records or parameters.
        """
        if not self.place or not store.exists(self.uri):
            return None
        checkpoint, facts = _unpack(store.read_bytes(self.uri), self.uri)
        if checkpoint.identity != self.identity:
            raise ArtifactError(
                f"{self.uri}: belongs to records and parameters {checkpoint.identity}, this run's are "
                f"{self.identity} ({_difference(facts, self.facts)}); choose another checkpoint_dir, or remove the "
                "file to start again"
            )
        return checkpoint


def _difference(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    names = [name for name in sorted({*theirs, *ours}) if theirs.get(name) != ours.get(name)]
    return ", ".join(f"{name} there {theirs.get(name)!r}, here {ours.get(name)!r}" for name in names)


def _pack(checkpoint: Checkpoint, facts: Mapping[str, Any]) -> bytes:
    buffer = io.BytesIO()
    sizes = {group: len(items) for group, items in checkpoint.arrays.items()}
    header = {
        "schema": SCHEMA,
        "identity": checkpoint.identity,
        "facts": facts,
        "state": asdict(checkpoint.state),
        "sizes": sizes,
    }
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("header.json", json.dumps(header))
        for group, items in checkpoint.arrays.items():
            for i, item in enumerate(items):
                with archive.open(f"{group}/{i}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, np.asanyarray(item), allow_pickle=False)
    return buffer.getvalue()


def _unpack(data: bytes, uri: str) -> tuple[Checkpoint, dict[str, Any]]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            header = json.loads(archive.read("header.json"))
            if header["schema"] != SCHEMA:
                raise ArtifactError(
                    f"{uri}: its schema is {header['schema']!r}, expected {SCHEMA!r}; continue with the release "
                    "that wrote it, or remove the file to start again"
                )
            arrays = {group: _group(archive, group, n) for group, n in header["sizes"].items()}
        return Checkpoint(header["identity"], RunState(**header["state"]), arrays), dict(header["facts"])
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, AttributeError, EOFError) as error:
        raise ArtifactError(f"{uri}: damaged checkpoint ({error}); remove it to start again") from error


def _group(archive: zipfile.ZipFile, group: str, n: int) -> list[npt.NDArray[np.generic]]:
    out = []
    for i in range(n):
        with archive.open(f"{group}/{i}.npy") as member:
            out.append(np.lib.format.read_array(member, allow_pickle=False))
    return out
