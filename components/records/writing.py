"""Writes the shards of a split: TFRecord files of a target size, and the same with another class weight."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from components.common.artifacts.class_weight import ClassWeight
from components.common.artifacts.record import decode_record, with_weight
from components.common.artifacts.records_manifest import Lost, Shard
from components.common.artifacts.tfrecord import frame, read_tfrecord
from components.common.runtime.events import Progress
from components.common.runtime.ordered import ordered_map
from components.common.runtime.resources import usable_cores
from components.common.storage import retry
from components.common.storage.store import is_local
from components.records.config import RecordsConfig
from components.records.integrity import LossLog
from components.records.prepare import Preparer, Source

_BATCH = 16  # local images handed to a thread at once
_BUFFER = 1 << 20  # bytes

Prepared = Iterable[tuple[Source, bytes | str]]  # of each image its serialized record, or why there is none


class ShardWriter:
    """Writes the records of one split; a shard is closed as soon as it holds `target` bytes.

    Names carry the number of shards, known only at the end: until then files have a scratch name.
    """

    def __init__(self, folder: Path, split: str, target: int) -> None:
        self._folder, self._split, self._target = folder, split, target
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
            self._handle = (self._folder / self._scratch()).open("wb", buffering=_BUFFER)
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
        counts = {str(label): n for label, n in enumerate(self._labels)}
        self.shards.append(Shard(self._scratch(), self._digest.hexdigest(), self._bytes, sum(self._labels), counts))
        self._start()

    def _name(self) -> None:
        for i, shard in enumerate(self.shards):
            name = f"{self._split}-{i:05d}-of-{len(self.shards):05d}.tfrecord"
            (self._folder / shard.name).rename(self._folder / name)
            self.shards[i] = replace(shard, name=name)

    def _scratch(self) -> str:
        return f".{self._split}-{len(self.shards):05d}.partial"


def prepared(images: Sequence[Source], config: RecordsConfig, weight: ClassWeight) -> Prepared:
    """Prepares images, in their order whatever the number of threads."""
    batch, threads = _hand_over(images, config.workers)
    return ordered_map(images, Preparer(config, weight.weights), threads, batch=batch, size=lambda one: one.size)


def write_split(
    folder: Path, split: str, images: Prepared, shard_bytes: int, losses: LossLog, bar: Progress
) -> list[Shard]:
    """Writes one split's shards, in the order of `images`."""
    with ShardWriter(folder, split, shard_bytes) as writer:
        for source, result in images:
            if isinstance(result, str):
                losses.add(Lost(source.image_id, split, source.label, result))
            else:
                writer.write(result, source.label)
            bar.advance(note=split)
    return writer.shards


def _hand_over(images: Sequence[Source], threads: int) -> tuple[int, int]:
    """Images handed to a thread at once, and threads: 0 chooses two per core where files are local.

    So one thread reads while another decodes; from a store most of the time is waiting.
    """
    local = all(is_local(one.uri) for one in images)
    return (_BATCH if local else 1), threads or (2 * usable_cores() if local else retry.THREADS)


def reweight(folder: Path, split: str, shards: Iterable[Shard], weight: ClassWeight) -> list[Shard]:
    """Writes finished shards again with another class weight in each record; sizes and names stay."""
    out = []
    for i, shard in enumerate(shards):
        path = folder / shard.name
        with ShardWriter(folder, f"{split}-{i:05d}-again", shard.bytes) as writer:
            for example in read_tfrecord(path):
                label = decode_record(example).label
                writer.write(with_weight(example, weight.weights[str(label)]), label)
        (done,) = writer.shards
        (folder / done.name).replace(path)
        out.append(replace(done, name=shard.name))
    return out
