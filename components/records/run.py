"""Records: images prepared for training, packed into TFRecord shards, with the integrity check."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.common.artifacts.class_weight import ClassWeight
from components.common.artifacts.folder import new_artifact, open_artifact, write_json
from components.common.artifacts.split import SPLITS
from components.common.runtime.events import progress
from components.records.config import RecordsConfig
from components.records.earlier import earlier_manifest
from components.records.integrity import LossLog, Lost, check_loss, refuse_rate, tallies_of, total
from components.records.manifest import NAME, manifest_of
from components.records.prepare import Source
from components.records.sources import read_sources, roots
from components.records.writing import reweight, write_split

log = logging.getLogger(__name__)

Sources = Mapping[str, Sequence[Source]]


@dataclass(frozen=True)
class RecordsResult:
    """What was written.

    Attributes:
        path: the records artifact.
        expected: images by split that should be there.
        found: images by split that are there.
        class_weight: weight of a malignant image, from the train images found.
        bytes: size of all shards.
        shards: number of shards.
    """

    path: Path
    expected: dict[str, int]
    found: dict[str, int]
    class_weight: float
    bytes: int
    shards: int

    @classmethod
    def of(cls, path: Path, manifest: Mapping[str, Any]) -> RecordsResult:
        """The result of the artifact at `path` with this manifest."""
        splits = manifest["splits"]
        shards = [shard for split in splits.values() for shard in split["shards"]]
        return cls(
            path=path,
            expected={name: split["expected"] for name, split in splits.items()},
            found={name: split["found"] for name, split in splits.items()},
            class_weight=manifest["class_weight"]["1"],
            bytes=sum(shard["bytes"] for shard in shards),
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


def run(config: RecordsConfig, split: Path, out: Path) -> RecordsResult:
    """Prepares every image of the split artifact at `split` and writes the records artifact `out`.

    Where `out` already holds what would be written, it stays as it is (docs/adr/0006).

    Raises:
        DataError: too many images lost, or one class more than the other.
    """
    artifact = open_artifact(split, "split")
    for root in roots(split):
        log.info("image root %s: %s", root["uri"], "exists" if root["exists"] else "DOES NOT EXIST")
    sources = read_sources(split)
    bad = {one.image_id for images in sources.values() for one in images if one.verdict != "ok"}
    known = tallies_of(sources, bad)
    refuse_rate(total(known.values()), config.max_lost_pct)  # what ingest lost already may be too much
    made_from = {"split": artifact.digest}
    manifest = earlier_manifest(config, sources, made_from, out)
    if manifest is None:
        manifest = _build(config, sources, made_from, out, ClassWeight(*known["train"].found))
    else:
        losses = LossLog()
        for one in manifest["lost"]:
            losses.add(Lost(**one))
        check_loss(sources, losses, config.max_lost_pct)
        log.info("%s holds these very records, made earlier: all hashes fit, they are kept", out)
    return RecordsResult.of(out, manifest)


def _build(
    config: RecordsConfig, sources: Sources, made_from: Mapping[str, str], out: Path, weight: ClassWeight
) -> dict[str, Any]:
    """Writes the artifact; `weight` is that of the images ingest found."""
    losses = LossLog()
    with new_artifact(out, "records", made_from) as folder:
        with progress("records", sum(len(images) for images in sources.values())) as bar:
            shards = {n: write_split(folder, n, images, config, weight, losses, bar) for n, images in sources.items()}
        tallies = check_loss(sources, losses, config.max_lost_pct)
        final = ClassWeight(*tallies["train"].found)
        if final != weight:  # images were lost after ingest: the weight inside each record follows
            shards = {name: reweight(folder, name, done, final) for name, done in shards.items()}
        manifest = manifest_of(config, sources, shards, losses.lost)
        write_json(folder / "class_weight.json", final.record())
        write_json(folder / NAME, manifest)
    return manifest
