"""Split: from an index to train, val and test, with the audit that shows nothing leaked."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from components.common.arrow import from_numpy, to_numpy
from components.common.artifacts.class_weight import ClassWeight
from components.common.artifacts.folder import new_artifact, open_artifact, read_json, write_atomic, write_json
from components.common.artifacts.split import SCHEMA, SPLITS
from components.common.runtime.cores import usable_cores
from components.split.audit import audit
from components.split.config import SplitConfig
from components.split.division import Division
from components.split.groups import group_ids
from components.split.near_duplicates.contact_sheet import contact_sheet, write_pairs
from components.split.near_duplicates.find import find_pairs
from components.split.recipes import REFERENCE_SEED, assign
from components.split.tables import (
    chosen,
    ids_digest,
    read_index,
    split_digest,
    usable,
    with_groups,
    write_csv,
    write_index,
    write_split_csv,
)
from components.split.texts import scalar

REFERENCE_SHA256 = "4382b8227db36acf393866e070b0458536eef45dd377003fbfdb5b9ddc1be53f"
REFERENCE_IDS = (
    "4c4086051a1a36f6a355b740d129c5057574d0ca8ed8b817b0550da30fda3b70"  # ids_digest of HAM10000's 10,015 images
)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SplitResult:
    """What the split holds.

    Attributes:
        path: the split artifact.
        images: images by split.
        malignant: malignant images by split.
        class_weight: weight of a malignant image in train.
        sha256: digest of (image_id, split), which identifies the split.
        near_duplicates: pairs of near-duplicate images found.
        crossing: pairs of them that lie in two splits.
    """

    path: Path
    images: dict[str, int]
    malignant: dict[str, int]
    class_weight: float
    sha256: str
    near_duplicates: int
    crossing: int

    def metrics(self) -> dict[str, float]:
        """What KFP shows for the step."""
        return {
            **{f"{split}_images": n for split, n in self.images.items()},
            **{f"{split}_malignant": n for split, n in self.malignant.items()},
            "class_weight": self.class_weight,
            "near_duplicate_pairs": self.near_duplicates,
            "near_duplicates_across_splits": self.crossing,
        }


def run(config: SplitConfig, index: Path, out: Path) -> SplitResult:
    """Divides the images of the index artifact at `index` and writes the split artifact `out`.

    Raises:
        DataError: a group would cross splits, a class would be absent, or the index cannot be divided.
    """
    pa.set_cpu_count(usable_cores())  # not as many as the node has
    source = open_artifact(index, "index")
    table = read_index(index)
    used = usable(table)
    rows = chosen(table, used)
    pairs = find_pairs(rows)
    if config.grouped:
        group = group_ids(rows["group_id"], pairs.left, pairs.right)
        table = with_groups(table, used, group)
        rows = chosen(table, used)
    code, fold = assign(config, rows)
    division = Division(rows, code)
    report = audit(division, pairs)
    weight = ClassWeight(*np.bincount(division.label[code == 0], minlength=2).tolist())
    record = describe(config, division) | {"class_weight": weight.record(), "audit": report}
    record["roots"] = read_json(index / "ingest.json", "lesionflow.ingest/1")["roots"]
    with new_artifact(out, "split", {"index": source.digest}) as folder:
        write_index(folder / "index.parquet", table)
        write_pairs(folder / "near_duplicates.csv", division, pairs)
        write_atomic(folder / "near_duplicates.html", contact_sheet(division, pairs))
        write_split_csv(folder / "split.csv", division)
        if fold is not None:
            write_csv(folder / "folds.csv", {"image_id": rows["image_id"], "fold": from_numpy(fold)})
        write_json(folder / "class_weight.json", weight.record())
        write_json(folder / "split.json", record)
    _log(record)
    counts = record["counts"]
    return SplitResult(
        out, {s: counts[s]["images"] for s in SPLITS}, {s: counts[s]["malignant"] for s in SPLITS},
        weight.weights["1"], record["sha256"], len(pairs), report["near_duplicates"]["crossing"],
    )  # fmt: skip


def describe(config: SplitConfig, division: Division) -> dict[str, Any]:
    """Recipe, counts and digest of a division: `split.json` without class weight and audit."""
    digest = split_digest(division)
    reference = config.recipe == "reference" and ids_digest(division.rows["image_id"]) == REFERENCE_IDS
    if reference and digest != REFERENCE_SHA256:
        log.warning("this is HAM10000, but its split is not the published one: %s, not %s", digest, REFERENCE_SHA256)
    return {
        "schema": SCHEMA,
        "recipe": config.recipe,
        "seed": REFERENCE_SEED if config.recipe == "reference" else config.seed,
        "parameters": config.model_dump(),
        "counts": _counts(division),
        "sha256": digest,
        "reference_sha256": REFERENCE_SHA256 if reference else None,
        "matches_reference": digest == REFERENCE_SHA256 if reference else None,
    }


def _counts(division: Division) -> dict[str, dict[str, int]]:
    import pyarrow.compute as pc

    columns = {
        "images": division.per_split(np.ones(len(division.code), bool)),
        "malignant": division.per_split(division.label == 1),
        "benign": division.per_split(division.label == 0),
        "lesions": division.distinct(division.lesion),
        "groups": division.distinct(division.group),
        "unreadable": division.per_split(~to_numpy(pc.equal(division.rows["verdict"], scalar("ok")))),
    }
    return {split: {name: int(count[i]) for name, count in columns.items()} for i, split in enumerate(SPLITS)}


def _log(record: dict[str, Any]) -> None:
    log.info("%-5s %10s %10s %10s %10s %11s", "split", "images", "malignant", "share %", "groups", "unreadable")
    for split, n in record["counts"].items():
        share = 100.0 * n["malignant"] / n["images"]
        log.info(
            "%-5s %10d %10d %10.2f %10d %11d", split, n["images"], n["malignant"], share, n["groups"], n["unreadable"]
        )
    near = record["audit"]["near_duplicates"]
    log.info(
        "near-duplicates: %d pairs, %d between lesions, %d across splits",
        near["pairs"], near["between_lesions"], near["crossing"],
    )  # fmt: skip
    weight = record["class_weight"]["weights"]["1"]
    log.info("class weight %.4f, sha256 %s", weight, record["sha256"])
