"""Records: images prepared for training, packed into TFRecord shards, with the integrity check."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import simplejpeg

from components.common.artifacts.class_weight import ClassWeight
from components.common.artifacts.folder import new_artifact, open_artifact
from components.common.artifacts.place import refuse_inside
from components.common.artifacts.records_manifest import (
    Lost,
    RecordsManifest,
    Shard,
    SplitRecords,
    write_manifest,
)
from components.common.artifacts.split import SPLITS, read_record
from components.common.imaging.inspect import INSPECTOR
from components.common.runtime.events import progress
from components.common.runtime.resources import return_large_blocks
from components.common.storage.store import exists
from components.records.config import RecordsConfig
from components.records.integrity import LossLog, Tally, check_loss, refuse_rate, tallies_of, total
from components.records.part_files import part_facts, read_parts
from components.records.prepare import Source
from components.records.sources import read_sources
from components.records.writing import Prepared, prepared, reweight, write_split

log = logging.getLogger(__name__)

Sources = Mapping[str, Sequence[Source]]


@dataclass(frozen=True)
class RecordsResult:
    """What was written."""

    path: Path
    expected: dict[str, int]
    found: dict[str, int]
    class_weight: float
    bytes: int
    shards: int

    @classmethod
    def of(cls, path: Path, manifest: RecordsManifest) -> RecordsResult:
        """The result of the artifact at `path` with this manifest."""
        shards = [shard for split in manifest.splits.values() for shard in split.shards]
        return cls(
            path=path,
            expected={name: split.expected for name, split in manifest.splits.items()},
            found={name: split.found for name, split in manifest.splits.items()},
            class_weight=manifest.class_weight["1"],
            bytes=sum(shard.bytes for shard in shards),
            shards=len(shards),
        )

    def metrics(self) -> dict[str, float]:
        """What KFP shows for the step."""
        out: dict[str, float] = {}
        for split in SPLITS:
            out |= {f"{split}_expected": self.expected[split], f"{split}_found": self.found[split]}
            out[f"{split}_lost"] = self.expected[split] - self.found[split]
        lost = sum(self.expected.values()) - sum(self.found.values())
        out["lost_pct"] = 100.0 * lost / max(sum(self.expected.values()), 1)
        return out | {"class_weight": self.class_weight, "shards": self.shards, "megabytes": self.bytes / 1e6}


def run(config: RecordsConfig, split: Path, out: Path, parts: Sequence[Path] = ()) -> RecordsResult:
    """Prepares every image of the split artifact at `split` and writes the records artifact `out`.

    Args:
        config: parameters.
        split: split artifact.
        out: folder of the artifact.
        parts: records that parts of this run have prepared, see `parts`; all of them, in any order.

    Raises:
        ConfigError: `out` lies inside an image root of the split.
        DataError: too many images lost, or one class more than the other.
        ArtifactError: the parts are not those of this split and these parameters.
    """
    return_large_blocks()
    sources, digest, weight = open_sources(config, split)
    refuse_inside(out, (root["uri"] for root in read_record(split).roots))
    found = read_parts(parts, sources, part_facts(config, digest)) if parts else None
    manifest = _build(config, sources, {"split": digest}, out, weight, found)
    return RecordsResult.of(out, manifest)


def open_sources(config: RecordsConfig, split: Path) -> tuple[dict[str, list[Source]], str, ClassWeight]:
    """The images by split, the digest of the split, and the class weight of the images that ingest found.

    Raises:
        DataError: ingest has already lost too many.
    """
    artifact = open_artifact(split, "split")
    for root in read_record(split).roots:
        log.info("image root %s: %s", root["uri"], "exists" if exists(root["uri"]) else "DOES NOT EXIST")
    sources = read_sources(split)
    bad = {one.image_id for images in sources.values() for one in images if one.verdict != "ok"}
    known = tallies_of(sources, bad)
    refuse_rate(total(known.values()), config.max_lost_pct)
    return sources, artifact.digest, ClassWeight(*known["train"].found)


def _build(
    config: RecordsConfig,
    sources: Sources,
    made_from: Mapping[str, str],
    out: Path,
    weight: ClassWeight,
    parts: Mapping[str, Prepared] | None,
) -> RecordsManifest:
    """Writes the artifact; `weight` is that of the images ingest found."""
    losses, size = LossLog(), config.shard_bytes
    with new_artifact(out, "records", made_from) as folder:
        with progress("records", sum(len(images) for images in sources.values())) as bar:
            ready = parts or {name: prepared(images, config, weight) for name, images in sources.items()}
            shards = {name: write_split(folder, name, images, size, losses, bar) for name, images in ready.items()}
        tallies = check_loss(sources, losses, config.max_lost_pct)
        final = ClassWeight(*tallies["train"].found)
        if final != weight:  # images were lost after ingest: the weight inside each record follows
            shards = {name: reweight(folder, name, done, final) for name, done in shards.items()}
        manifest = _manifest(config, sources, tallies, shards, losses.lost)
        final.save(folder)
        write_manifest(folder, manifest)
    return manifest


def _manifest(
    config: RecordsConfig,
    sources: Sources,
    tallies: Mapping[str, Tally],
    shards: Mapping[str, Sequence[Shard]],
    lost: Sequence[Lost],
) -> RecordsManifest:
    splits = {
        name: SplitRecords(
            sum(counts.expected),
            sum(counts.found),
            sum(counts.lost),
            {"0": counts.found[0], "1": counts.found[1]},
            list(shards[name]),
        )
        for name, counts in tallies.items()
    }
    return RecordsManifest(
        record_size=config.record_size,
        jpeg_quality=config.jpeg_quality,
        dx_classes=dict(sorted((one.dx, one.label) for images in sources.values() for one in images)),
        class_weight=ClassWeight(*tallies["train"].found).weights,
        splits=splits,
        lost=list(lost),
        shard_bytes=config.shard_bytes,
        made_with={"inspector": INSPECTOR, "opencv": cv2.__version__, "simplejpeg": simplejpeg.__version__},
    )
