"""Reads a records artifact for training: the rows of a split and their images, in memory or from the shards."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from components.common.artifacts.record import Record, decode_record
from components.common.artifacts.records_manifest import RecordsManifest, read_manifest
from components.common.artifacts.tfrecord import read_tfrecord
from components.common.imaging.prepare import network_view
from components.common.runtime.errors import ArtifactError, DataError
from components.common.runtime.events import progress
from components.common.runtime.resources import available_bytes

log = logging.getLogger(__name__)
Pixels = npt.NDArray[np.uint8]

_HEADER_BYTES = 12  # of a TFRecord frame, before the data
_CACHE_SHARE = 0.5  # of the memory that is left: the network needs the rest


class ImageSource(Protocol):
    """Decoded images by position; `get` may be called from several threads."""

    def get(self, index: int) -> npt.NDArray[Any]:
        """uint8 [h, w, 3] RGB at the network's size; float16 [h, w, c] where frozen layers are computed once."""
        ...


@dataclass(frozen=True)
class Rows:
    """What one split says about its images, in record order.

    Attributes:
        image_id: (n,) text.
        lesion_id: (n,) text.
        group_id: (n,) text.
        label: (n,) int8, 1 = malignant.
        dx: (n,) int32, position of the diagnosis in the sorted diagnosis codes.
    """

    image_id: npt.NDArray[np.str_]
    lesion_id: npt.NDArray[np.str_]
    group_id: npt.NDArray[np.str_]
    label: npt.NDArray[np.int8]
    dx: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.image_id)


@dataclass(frozen=True)
class SplitData:
    """One split: its rows and its images."""

    rows: Rows
    images: ImageSource
    cached: bool


@dataclass(frozen=True)
class Location:
    """Where a record's bytes lie."""

    path: Path
    start: int
    length: int


class CachedImages:
    """All images in one array [n, h, w, c]: uint8 RGB, or float16 of what the first trained layer sees of them."""

    def __init__(self, pixels: npt.NDArray[Any]) -> None:
        self.pixels = pixels

    def get(self, index: int) -> npt.NDArray[Any]:
        """A view, not a copy."""
        return np.asarray(self.pixels[index])


class StreamedImages:
    """Images decoded when they are needed; only their positions in the shards stay in memory."""

    def __init__(self, places: list[Location], record_size: int | None, size: tuple[int, int]) -> None:
        self.places, self.record_size, self.size = places, record_size, size

    def get(self, index: int) -> Pixels:
        """Reads and decodes one record."""
        place = self.places[index]
        with place.path.open("rb") as handle:
            handle.seek(place.start)
            data = handle.read(place.length)
        return network_view(decode_record(data).image, self.record_size, self.size)


def dx_classes(manifest: RecordsManifest) -> dict[str, int]:
    """Diagnosis code to label, sorted by code: the order of the classes of the diagnosis target."""
    return {str(dx): int(label) for dx, label in sorted(manifest.dx_classes.items())}


def load_split(records: Path, split: str, size: tuple[int, int], cache: str) -> SplitData:
    """Reads the shards of one split, checking every record's checksum and the number of records.

    Args:
        records: the records artifact; its file hashes have been checked.
        split: train or val.
        size: height and width the network sees.
        cache: memory, stream, or auto: memory when the decoded images fit into half of what is left.

    Raises:
        ArtifactError: a damaged record or shard, or another count than the manifest's.
        DataError: the split is empty.
    """
    manifest = read_manifest(records)
    shards = manifest.splits[split].shards if split in manifest.splits else []
    count = sum(shard.records for shard in shards)
    if count == 0:
        raise DataError(f"{records}: split {split!r} holds no image; split the data again")
    needed = count * size[0] * size[1] * 3
    free = available_bytes()
    memory = cache == "memory" or (cache == "auto" and needed <= _CACHE_SHARE * free)
    log.info(
        "%s: %d images, %.0f MB decoded, %s (%.0f MB free)",
        split,
        count,
        needed / 2**20,
        "in memory" if memory else "streamed",
        free / 2**20,
    )
    pixels = np.empty((count, *size, 3), np.uint8) if memory else None
    rows: list[Record] = []
    places: list[Location] = []
    with progress(f"read {split}", count) as bar:
        for shard in shards:
            before = len(rows)
            _read_shard(records / shard.name, manifest.record_size, size, pixels, rows, places)
            if len(rows) - before != shard.records:
                raise ArtifactError(
                    f"{shard.name}: holds {len(rows) - before} records, the manifest says {shard.records}"
                )
            bar.advance(len(rows) - before)
    images = StreamedImages(places, manifest.record_size, size) if pixels is None else CachedImages(pixels)
    return SplitData(_columns(rows, list(dx_classes(manifest))), images, pixels is not None)


def _read_shard(
    path: Path,
    record_size: int | None,
    size: tuple[int, int],
    pixels: Pixels | None,
    rows: list[Record],
    places: list[Location],
) -> None:
    offset = 0
    for data in read_tfrecord(path):
        record = decode_record(data)
        if pixels is not None and len(rows) < len(pixels):
            pixels[len(rows)] = network_view(record.image, record_size, size)
        places.append(Location(path, offset + _HEADER_BYTES, len(data)))
        rows.append(_without_image(record))
        offset += _HEADER_BYTES + len(data) + 4


def _without_image(record: Record) -> Record:
    return Record(
        b"",
        record.image_id,
        record.lesion_id,
        record.group_id,
        record.dx,
        record.label,
        record.width,
        record.height,
        record.weight,
    )


def _columns(rows: list[Record], classes: list[str]) -> Rows:
    index = {dx: i for i, dx in enumerate(classes)}
    return Rows(
        image_id=np.array([row.image_id for row in rows]),
        lesion_id=np.array([row.lesion_id for row in rows]),
        group_id=np.array([row.group_id for row in rows]),
        label=np.array([row.label for row in rows], np.int8),
        dx=np.array([index[row.dx] for row in rows], np.int32),
    )
