"""The training images in memory: records decoded once to uint8 at the size the network sees."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from components.common.artifacts import read_json
from components.common.errors import DataError
from components.common.events import progress
from components.common.imaging import decode_rgb
from components.common.record_schema import SCHEMA, Record, decode_record
from components.common.tfrecord import scan_tfrecord


@dataclass(frozen=True)
class Examples:
    """The images of one split.

    Attributes:
        images: (n, h, w, 3) uint8, RGB.
        label: (n,) int8, 1 = malignant.
        dx: (n,) int32, index into the diagnoses of the manifest.
        image_id, lesion_id, group_id: (n,) text.
    """

    images: npt.NDArray[np.uint8]
    label: npt.NDArray[np.int8]
    dx: npt.NDArray[np.int32]
    image_id: npt.NDArray[np.str_]
    lesion_id: npt.NDArray[np.str_]
    group_id: npt.NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.label)


def read_manifest(records: Path) -> dict[str, Any]:
    """`manifest.json` of a records artifact."""
    return read_json(records / "manifest.json", SCHEMA)


def load_examples(records: Path, split: str, size: tuple[int, int], threads: int = 2) -> Examples:
    """Decodes every record of a split.

    Args:
        records: the records artifact.
        split: train or val.
        size: height and width in pixels; other sizes are stretched to it.
        threads: decoding threads; the codec releases the interpreter lock.

    Raises:
        DataError: the split has no record, or a shard is damaged; names the shard.
    """
    manifest = read_manifest(records)
    part = manifest["splits"].get(split)
    if not part or not part["found"]:
        raise DataError(f"{records}: no {split} records; make the records again")
    classes = {dx: index for index, dx in enumerate(manifest["dx_classes"])}
    images = np.empty((part["found"], *size, 3), np.uint8)
    rows: list[Record] = []
    with progress(f"decoding {split}", part["found"]) as bar, ThreadPoolExecutor(threads) as pool:
        for shard in part["shards"]:
            batch = [_record(records / shard["name"], frame) for frame in scan_tfrecord(records / shard["name"])]
            jobs = pool.map(lambda record: to_size(decode_rgb(record.image), size), batch)
            for offset, image in enumerate(jobs):
                images[len(rows) + offset] = image
                bar.advance()
            rows += [_without_image(record) for record in batch]
    if len(rows) != part["found"]:
        raise DataError(f"{records}: {split} holds {len(rows)} records, its manifest says {part['found']}")
    return Examples(
        images=images,
        label=np.array([row.label for row in rows], np.int8),
        dx=np.array([classes[row.dx] for row in rows], np.int32),
        image_id=np.array([row.image_id for row in rows]),
        lesion_id=np.array([row.lesion_id for row in rows]),
        group_id=np.array([row.group_id for row in rows]),
    )


def to_size(image: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Stretches (h, w, 3) to `size` with half-pixel bilinear interpolation, as serving does."""
    if image.shape[:2] == size:
        return image
    return np.asarray(cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR), np.uint8)


def _record(shard: Path, frame: Any) -> Record:
    if frame.damage:
        raise DataError(f"{shard}: record {frame.number} at byte {frame.start}: {frame.damage}; make the records again")
    return decode_record(frame.data)


def _without_image(record: Record) -> Record:
    return Record(**{**record.__dict__, "image": b""})
