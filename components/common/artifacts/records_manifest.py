"""The records: what `manifest.json` says of the shards, of the images in each split, and of every lost one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from components.common.artifacts.folder import read_json, write_json
from components.common.runtime.errors import ArtifactError

KIND = "records"
SCHEMA = "lesionflow.records/1"
MANIFEST = "manifest.json"

T = TypeVar("T")


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
    path = folder / MANIFEST
    value = read_json(path, SCHEMA)
    try:
        splits = {}
        for name, part in value["splits"].items():
            shards = [_made(Shard, one) for one in part["shards"]]
            splits[name] = _made(SplitRecords, {**part, "shards": shards})
        lost = [_made(Lost, one) for one in value["lost"]]
        return _made(RecordsManifest, {**value, "splits": splits, "lost": lost})
    except (KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"{path}: not a complete manifest ({error}); build the records again") from error
    except ArtifactError as error:
        raise ArtifactError(f"{path}: {error}") from error


def _made(kind: type[T], value: Mapping[str, Any]) -> T:
    names = [one.name for one in fields(kind)]  # type: ignore[arg-type]
    return kind(**{name: value[name] for name in names})
