"""Shards: TFRecord files of a target size, with what the manifest says of each."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from components.common.artifacts.records_manifest import Shard
from components.common.artifacts.tfrecord import frame

_BUFFER = 1 << 20


class ShardWriter:
    """Writes the records of one split; a shard is closed as soon as it holds `target` bytes.

    Names carry the number of shards, known only at the end: until then files have a scratch name.
    """

    def __init__(self, folder: Path, split: str, target: int) -> None:
        self._folder, self._split, self._target = folder, split, target
        self._open: list[tuple[str, int, int, tuple[int, int]]] = []  # sha256, bytes, records, label counts
        self._handle: BinaryIO | None = None
        self._start()
        self.shards: list[Shard] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._close()
            self._name()
        elif self._handle is not None:
            self._handle.close()

    def write(self, example: bytes, label: int) -> None:
        """Appends one record."""
        if self._handle is None:
            self._handle = self._scratch(len(self._open)).open("wb", buffering=_BUFFER)
        data = frame(example)
        self._handle.write(data)
        self._digest.update(data)
        self._bytes += len(data)
        self._labels[label] += 1
        if self._bytes >= self._target:
            self._close()

    def _start(self) -> None:
        self._digest, self._bytes, self._labels = hashlib.sha256(), 0, [0, 0]

    def _close(self) -> None:
        if self._handle is None:
            return
        self._handle.close()
        self._handle = None
        counts = (self._labels[0], self._labels[1])
        self._open.append((self._digest.hexdigest(), self._bytes, sum(counts), counts))
        self._start()

    def _name(self) -> None:
        for i, (sha256, size, records, counts) in enumerate(self._open):
            name = f"{self._split}-{i:05d}-of-{len(self._open):05d}.tfrecord"
            self._scratch(i).rename(self._folder / name)
            self.shards.append(Shard(name, sha256, size, records, {"0": counts[0], "1": counts[1]}))

    def _scratch(self, number: int) -> Path:
        return self._folder / f".{self._split}-{number:05d}.partial"
