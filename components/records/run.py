"""Records: images prepared for training, packed into TFRecord shards, with the integrity check."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from components.common.artifacts import new_artifact, open_artifact, write_json
from components.common.class_weight import ClassWeight
from components.common.events import progress
from components.common.record_schema import SCHEMA
from components.records.config import RecordsConfig
from components.records.integrity import LossLog, Lost, Tally, log_table, reasons, refuse_loss, refuse_rate, total
from components.records.prepare import Source
from components.records.shards import Shard
from components.records.sources import SPLITS, read_sources, roots
from components.records.writing import reweight, write_split

log = logging.getLogger(__name__)


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

    Raises:
        DataError: too many images lost, or one class more than the other.
    """
    artifact = open_artifact(split, "split")
    for root in roots(split):
        log.info("image root %s: %s", root["uri"], "exists" if root["exists"] else "DOES NOT EXIST")
    sources = read_sources(split)
    known = {
        name: _tally(images, {one.image_id for one in images if one.verdict != "ok"})
        for name, images in sources.items()
    }
    refuse_rate(total(known.values()), config.max_lost_pct)  # what ingest lost already may be too much
    weight = ClassWeight(*known["train"].found)
    losses = LossLog()
    with new_artifact(out, "records", {"split": artifact.digest}) as folder:
        with progress("records", sum(len(images) for images in sources.values())) as bar:
            shards = {n: write_split(folder, n, images, config, weight, losses, bar) for n, images in sources.items()}
        losses.flush()
        tallies = _check(sources, losses.lost, config.max_lost_pct)
        final = ClassWeight(*tallies["train"].found)
        if final != weight:  # images were lost after ingest: the weight inside each record follows
            shards = {name: reweight(folder, name, done, final) for name, done in shards.items()}
        write_json(folder / "class_weight.json", final.record())
        write_json(folder / "manifest.json", _manifest(config, sources, tallies, shards, losses.lost, final))
    return _result(out, tallies, shards, final)


def _check(sources: Mapping[str, list[Source]], lost: list[Lost], max_lost_pct: float) -> dict[str, Tally]:
    gone = {one.image_id for one in lost}
    tallies = {name: _tally(images, gone) for name, images in sources.items()}
    log_table(tallies)
    if lost:
        log.info("lost by reason: %s", ", ".join(f"{reason} {n}" for reason, n in reasons(lost).items()))
    refuse_loss(total(tallies.values()), max_lost_pct)
    return tallies


def _tally(images: list[Source], lost: set[str]) -> Tally:
    expected, found = [0, 0], [0, 0]
    for one in images:
        expected[one.label] += 1
        found[one.label] += one.image_id not in lost
    return Tally((expected[0], expected[1]), (found[0], found[1]))


def _manifest(
    config: RecordsConfig, sources: Mapping[str, list[Source]], tallies: Mapping[str, Tally],
    shards: Mapping[str, list[Shard]], lost: list[Lost], weight: ClassWeight,
) -> dict[str, Any]:  # fmt: skip
    return {
        "schema": SCHEMA,
        "record_size": config.record_size,
        "jpeg_quality": config.jpeg_quality,
        "dx_classes": dict(sorted((one.dx, one.label) for images in sources.values() for one in images)),
        "class_weight": weight.weights,
        "splits": {
            name: {
                "expected": sum(tally.expected),
                "found": sum(tally.found),
                "lost": sum(tally.lost),
                "label_counts": {"0": tally.found[0], "1": tally.found[1]},
                "shards": [shard.record() for shard in shards[name]],
            }
            for name, tally in tallies.items()
        },
        "lost": [asdict(one) for one in lost],
    }


def _result(
    out: Path, tallies: Mapping[str, Tally], shards: Mapping[str, list[Shard]], weight: ClassWeight
) -> RecordsResult:
    every = [shard for done in shards.values() for shard in done]
    return RecordsResult(
        path=out,
        expected={name: sum(tally.expected) for name, tally in tallies.items()},
        found={name: sum(tally.found) for name, tally in tallies.items()},
        class_weight=weight.weights["1"],
        bytes=sum(shard.bytes for shard in every),
        shards=len(every),
    )
