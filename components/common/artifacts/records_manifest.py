"""`manifest.json` of a records artifact: its shards, the images of each split, and every image that was lost."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from components.common.artifacts.json_file import LARGE_BYTES, read_record, write_json
from components.common.runtime.errors import ArtifactError

SCHEMA = "lesionflow.records/1"
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Shard:
    """One finished shard.

    Attributes:
        name: file name inside the artifact.
        sha256: of its bytes, hex.
        bytes: its size.
        records: records in it.
        label_counts: records by label, `{"0": benign, "1": malignant}`.
    """

    name: str
    sha256: str
    bytes: int
    records: int
    label_counts: dict[str, int]

    def __post_init__(self) -> None:
        """Refuses a name that leads out of the artifact.

        Raises:
            ArtifactError: it is not a plain file name.
        """
        if self.name != PurePosixPath(self.name).name or self.name in ("", ".", "..") or "\\" in self.name:
            raise ArtifactError(
                f"shard name {self.name!r} leads out of the records artifact; expected a file name: build the "
                "records again"
            )


@dataclass(frozen=True)
class SplitRecords:
    """One split.

    Attributes:
        expected: images with a label in this split.
        found: images in the shards.
        lost: the difference.
        label_counts: images found by label.
        shards: its shards, in order.
    """

    expected: int
    found: int
    lost: int
    label_counts: dict[str, int]
    shards: list[Shard] = field(default_factory=list)


@dataclass(frozen=True)
class Lost:
    """An image that should be in the records and is not.

    Attributes:
        image_id: its id.
        split: the split it belongs to.
        label: 1 = malignant, 0 = benign.
        reason: why it was lost, starting with its verdict.
    """

    image_id: str
    split: str
    label: int
    reason: str


@dataclass(frozen=True)
class RecordsManifest:
    """What `manifest.json` says.

    Attributes:
        record_size: short side of the stored training images in pixels; None: original bytes.
        jpeg_quality: of the stored training images.
        dx_classes: label of every diagnosis, by its code.
        class_weight: weight by label, from the train images found.
        splits: train, val and test.
        lost: every lost image.
        shard_bytes: bytes at which a shard is closed.
        made_with: number of the image inspector and versions of the codecs.
    """

    record_size: int | None
    jpeg_quality: int
    dx_classes: dict[str, int]
    class_weight: dict[str, float]
    splits: dict[str, SplitRecords]
    lost: list[Lost]
    shard_bytes: int
    made_with: dict[str, Any]


def write_manifest(folder: Path, manifest: RecordsManifest) -> None:
    """Writes `manifest.json` into the folder of a records artifact."""
    write_json(folder / MANIFEST, {"schema": SCHEMA, **asdict(manifest)})


def read_manifest(folder: Path) -> RecordsManifest:
    """Reads `manifest.json` of a records artifact.

    Raises:
        ArtifactError: it is missing, not such a file, lacks a field, or names a shard outside of the artifact.
    """
    return read_record(folder / MANIFEST, SCHEMA, RecordsManifest, "build the records again", most=LARGE_BYTES)
