"""Writes the shards of a split with a pool of threads; the codecs release the GIL."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from components.common.class_weight import ClassWeight
from components.common.events import Progress
from components.common.record_schema import decode_record, with_weight
from components.common.tfrecord import read_tfrecord
from components.records.config import RecordsConfig
from components.records.integrity import LossLog, Lost
from components.records.prepare import Source, prepare
from components.records.shards import Shard, ShardWriter

_AHEAD = 8  # images a thread may be ahead of the writer: memory stays flat


def write_split(
    folder: Path,
    split: str,
    images: Iterable[Source],
    config: RecordsConfig,
    weight: ClassWeight,
    losses: LossLog,
    bar: Progress,
) -> list[Shard]:
    """Writes one split's shards, in the order of `images` whatever the number of threads."""
    with ShardWriter(folder, split, config.shard_bytes) as writer:
        for source, result in _prepared(images, config, weight.weights):
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


def _prepared(
    images: Iterable[Source], config: RecordsConfig, weights: Mapping[str, float]
) -> Iterator[tuple[Source, bytes | str]]:
    """Each image with its record or the reason it is lost, in order."""
    threads = config.workers or 2 * len(os.sched_getaffinity(0))
    waiting: deque[tuple[Source, Future[bytes | str]]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="records") as pool:
        try:
            for source in images:
                waiting.append((source, pool.submit(prepare, source, config, weights)))
                if len(waiting) >= threads * _AHEAD:
                    first, future = waiting.popleft()
                    yield first, future.result()
            while waiting:
                first, future = waiting.popleft()
                yield first, future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
