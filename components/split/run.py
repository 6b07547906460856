"""Split: from an index to train, val and test, with the audit that shows nothing leaked."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from components.common.artifacts.class_weight import ClassWeight
from components.common.artifacts.folder import new_artifact, open_artifact, write_atomic
from components.common.artifacts.index import KIND as INDEX
from components.common.artifacts.index import WITHOUT_LABEL, Verdict, read_account, read_index
from components.common.artifacts.split import KIND, SPLITS, SplitRecord, split_digest, write_split
from components.common.runtime.errors import DataError
from components.split import reference
from components.split.audit import audit
from components.split.config import SplitConfig
from components.split.groups import group_ids
from components.split.near_duplicates.contact_sheet import contact_sheet, write_pairs
from components.split.near_duplicates.find import find_pairs
from components.split.recipes import assign

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
    source = open_artifact(index, INDEX)
    table = read_index(index)
    rows = usable(table)
    pairs = find_pairs(rows)
    if config.grouped:
        rows = rows.assign(group_id=group_ids(rows["lesion_id"], pairs.left, pairs.right))
        table.loc[rows.index, "group_id"] = rows["group_id"]
    split, fold = assign(config, rows)
    rows = rows.assign(split=split)
    train = rows.loc[rows["split"] == "train", "label"]
    report = audit(rows, pairs)
    weight = ClassWeight(int((train == 0).sum()), int((train == 1).sum()))
    record = describe(config, rows, report, weight, read_account(index)["roots"])
    with new_artifact(out, KIND, {"index": source.digest}) as folder:
        write_split(folder, table, split, record)
        write_pairs(folder / "near_duplicates.csv", rows, pairs)
        write_atomic(folder / "near_duplicates.html", contact_sheet(rows, pairs))
        if fold is not None:
            rows[["image_id"]].assign(fold=fold).to_csv(folder / "folds.csv", index=False, lineterminator="\n")
        weight.save(folder)
    _log(record)
    return SplitResult(
        path=out,
        images={name: record.counts[name]["images"] for name in SPLITS},
        malignant={name: record.counts[name]["malignant"] for name in SPLITS},
        class_weight=weight.weights["1"],
        sha256=record.sha256,
        near_duplicates=len(pairs),
        crossing=report["near_duplicates"]["crossing"],
    )


def usable(index: pd.DataFrame) -> pd.DataFrame:
    """The rows that can be divided: their label is known, whether or not their image can be read.

    A lost image stays in its split, so that the integrity check can count it as expected and lost.

    Raises:
        DataError: no such row, or an image id twice among them.
    """
    rows = index[index["label"].isin((0, 1)) & ~index["verdict"].isin(WITHOUT_LABEL)]
    if not len(rows):
        raise DataError(f"the index has {len(index)} rows and none with a usable label; see the verdicts of ingest")
    again = rows.loc[rows["image_id"].duplicated(), "image_id"]
    if len(again):
        raise DataError(
            f"image_id {again.iloc[0]} is in the index more than once ({len(again)} such rows); "
            "expected one row per image"
        )
    return rows


def describe(
    config: SplitConfig, rows: pd.DataFrame, report: dict[str, Any], weight: ClassWeight, roots: list[dict[str, Any]]
) -> SplitRecord:
    """What `split.json` says of divided rows."""
    digest = split_digest(rows["image_id"], rows["split"])
    published = config.recipe == "reference" and reference.is_ham10000(rows["image_id"])
    if published and digest != reference.SHA256:
        log.warning("this is HAM10000, but its split is not the published one: %s, not %s", digest, reference.SHA256)
    return SplitRecord(
        recipe=config.recipe,
        seed=reference.SEED if config.recipe == "reference" else config.seed,
        sha256=digest,
        counts=_counts(rows),
        parameters=config.model_dump(),
        reference_sha256=reference.SHA256 if published else None,
        matches_reference=digest == reference.SHA256 if published else None,
        class_weight=weight.record(),
        audit=report,
        roots=roots,
    )


def _counts(rows: pd.DataFrame) -> dict[str, dict[str, int]]:
    return {name: _count(rows[rows["split"] == name]) for name in SPLITS}


def _count(part: pd.DataFrame) -> dict[str, int]:
    return {
        "images": len(part),
        "malignant": int((part["label"] == 1).sum()),
        "benign": int((part["label"] == 0).sum()),
        "lesions": part["lesion_id"].nunique(),
        "groups": part["group_id"].nunique(),
        "unreadable": int((part["verdict"] != Verdict.OK).sum()),
    }


def _log(record: SplitRecord) -> None:
    log.info("%-5s %10s %10s %10s %10s %11s", "split", "images", "malignant", "share %", "groups", "unreadable")
    for split, n in record.counts.items():
        share = 100.0 * n["malignant"] / n["images"]
        log.info(
            "%-5s %10d %10d %10.2f %10d %11d", split, n["images"], n["malignant"], share, n["groups"], n["unreadable"]
        )
    near = record.audit["near_duplicates"]
    log.info(
        "near-duplicates: %d pairs, %d between lesions, %d across splits",
        near["pairs"],
        near["between_lesions"],
        near["crossing"],
    )
    log.info("class weight %.4f, sha256 %s", record.class_weight["weights"]["1"], record.sha256)
