"""Writes the shards of a split, and writes them again with another class weight."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from components.common.artifacts.class_weight import ClassWeight
from components.common.artifacts.record import decode_record, with_weight
from components.common.artifacts.records_manifest import Lost, Shard
from components.common.artifacts.tfrecord import read_tfrecord
from components.common.runtime.events import Progress
from components.common.runtime.ordered import ordered_map
from components.common.runtime.resources import usable_cores
from components.common.storage import retry
from components.common.storage.store import is_local
from components.records.config import RecordsConfig
from components.records.integrity import LossLog
from components.records.prepare import Preparer, Source
from components.records.shards import ShardWriter

_BATCH = 16  # local images handed to a thread at once


Prepared = Iterable[tuple[Source, bytes | str]]  # of each image its serialized record, or why there is none


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
        out.append(Shard(shard.name, done.sha256, done.bytes, done.records, done.label_counts))
    return out
