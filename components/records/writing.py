"""Writes the shards of a split, and writes them again with another class weight."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from components.common.artifacts.class_weight import ClassWeight
from components.common.artifacts.record import decode_record, with_weight
from components.common.artifacts.tfrecord import read_tfrecord
from components.common.runtime.events import Progress
from components.records.config import RecordsConfig
from components.records.integrity import LossLog, Lost
from components.records.prepare import Source, prepare
from components.records.shards import Shard, ShardWriter
from components.records.threads import in_order


def write_split(
    folder: Path,
    split: str,
    images: Sequence[Source],
    config: RecordsConfig,
    weight: ClassWeight,
    losses: LossLog,
    bar: Progress,
) -> list[Shard]:
    """Writes one split's shards, in the order of `images` whatever the number of threads."""
    with ShardWriter(folder, split, config.shard_bytes) as writer:
        work = partial(prepare, config=config, weights=weight.weights)
        for source, result in in_order(images, work, config.workers):
            if isinstance(result, str):
                losses.add(Lost(source.image_id, split, source.label, result))
            else:
                writer.write(result, source.label)
            bar.advance(note=split)
    return writer.shards


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
