"""Split: from an index to train, val and test, with the audit that shows nothing leaked."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from components.common.artifacts.class_weight import ClassWeight
from components.common.artifacts.folder import new_artifact, open_artifact
from components.common.artifacts.index import (
    PICTURE_KEY,
    THUMBNAIL,
    WITHOUT_LABEL,
    one_class,
    read_account,
    read_index,
)
from components.common.artifacts.json_file import write_atomic
from components.common.artifacts.place import refuse_inside
from components.common.artifacts.split import SPLITS, SplitRecord, split_digest, write_split
from components.common.imaging.picture_key import picture_keys
from components.common.runtime.errors import DataError
from components.split import reference
from components.split.audit import audit
from components.split.config import SplitConfig
from components.split.contradictions import contradictory, give_verdict, settle
from components.split.groups import PATIENT, count_splits, describe_groups, group_ids, grouping_columns
from components.split.near_duplicates.contact_sheet import contact_sheet, write_pairs
from components.split.near_duplicates.find import Pairs, find_pairs
from components.split.recipes import assign
from components.split.weaknesses import weaknesses

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
        ConfigError: `out` lies inside an image root of the index.
        DataError: a group would cross splits, a class would be absent, near-duplicates have different labels, or
            the index cannot be divided.
    """
    source = open_artifact(index, "index")
    roots = read_account(index)["roots"]
    refuse_inside(out, (root["uri"] for root in roots))
    table = read_index(index)
    rows, pairs, columns, doubtful = grouped(config, table)
    split, fold = assign(config, rows)
    rows = rows.assign(split=split)
    report = audit(rows, pairs, columns)
    train = rows.loc[rows["split"] == "train", "label"]
    weight = ClassWeight(int((train == 0).sum()), int((train == 1).sum()))
    record = describe(config, rows, report, columns, doubtful, weight, roots)
    _log(record)
    with new_artifact(out, "split", {"index": source.digest}) as folder:
        write_split(folder, with_picture_keys(table), split, record)
        write_pairs(folder / "near_duplicates.csv", rows, pairs)
        write_atomic(folder / "near_duplicates.html", contact_sheet(rows, pairs))
        if fold is not None:
            rows[["image_id"]].assign(fold=fold).to_csv(folder / "folds.csv", index=False, lineterminator="\n")
        weight.save(folder)
    return SplitResult(
        path=out,
        images={name: record.counts[name]["images"] for name in SPLITS},
        malignant={name: record.counts[name]["malignant"] for name in SPLITS},
        class_weight=weight.weights["1"],
        sha256=record.sha256,
        near_duplicates=len(pairs),
        crossing=record.audit["near_duplicates"]["crossing"],
    )


def with_picture_keys(index: pd.DataFrame) -> pd.DataFrame:
    """The index with the picture key of each thumbnail, which `write_split` leaves out; as it is without thumbnails."""
    if THUMBNAIL not in index:
        return index
    return index.assign(**{PICTURE_KEY: [one.tobytes().hex() for one in picture_keys(index[THUMBNAIL])]})


def usable(index: pd.DataFrame) -> pd.DataFrame:
    """The rows that can be divided: their label is known, whether or not their image can be read.

    A lost image stays in its split, so that the integrity check can count it as expected and lost.

    Raises:
        DataError: no such row, one label in all of them, or an image id twice among them.
    """
    rows = index[index["label"].isin((0, 1)) & ~index["verdict"].isin(WITHOUT_LABEL)]
    if not len(rows):
        raise DataError(f"the index has {len(index)} rows and none with a usable label; see the verdicts of ingest")
    if (fault := one_class(rows["label"])) is not None:
        raise DataError(f"{fault}; a classifier needs both: give a table with both, or another label_policy or columns")
    again = rows.loc[rows["image_id"].duplicated(), "image_id"]
    if len(again):
        raise DataError(
            f"image_id {again.iloc[0]} is in the index more than once ({len(again)} such rows); "
            "expected one row per image"
        )
    return rows


def grouped(config: SplitConfig, table: pd.DataFrame) -> tuple[pd.DataFrame, Pairs, list[str], list[list[str]]]:
    """The rows that are divided, with their final groups, which are also written into the table.

    Returns:
        Rows, near-duplicates among them, the columns that join images, and the pairs of images whose labels
        contradict each other.

    Raises:
        DataError: see `run`.
    """
    rows = usable(table)
    columns = grouping_columns(config, rows)
    if config.group_by is None and PATIENT in columns:
        log.info("images of one patient share a split (patient_id); set split.group_by to [] to group by lesion alone")
    pairs = find_pairs(rows)
    rows = rows.assign(group_id=group_ids(rows, columns, pairs if config.grouped else None))
    table.loc[rows.index, "group_id"] = rows["group_id"]
    found = contradictory(rows, pairs)
    sides = (rows["image_id"].iloc[side] for side in (found.left, found.right))
    doubtful = [list(pair) for pair in zip(*sides, strict=True)]
    kept = settle(config, rows, found)
    if len(kept) < len(rows):
        give_verdict(table, rows, found)
        pairs = pairs.among(rows.index.isin(kept.index))
    return kept, pairs, columns, doubtful


def describe(
    config: SplitConfig,
    rows: pd.DataFrame,
    report: dict[str, Any],
    columns: list[str],
    doubtful: list[list[str]],
    weight: ClassWeight,
    roots: list[dict[str, Any]],
) -> SplitRecord:
    """The content of `split.json` for divided rows."""
    counts, groups = count_splits(rows), describe_groups(rows, columns, config.grouped)
    digest = split_digest(rows["image_id"], rows["split"])
    return SplitRecord(
        recipe=config.recipe,
        seed=reference.SEED if config.recipe == "reference" else config.seed,
        sha256=digest,
        counts=counts,
        parameters=config.model_dump(),
        **_published(config, rows, digest),
        class_weight=weight.record(),
        audit=report,
        roots=roots,
        groups=groups,
        contradictions=doubtful,
        warnings=weaknesses(counts, report["class_shares"], groups, doubtful, config.contradictions),
    )


def _published(config: SplitConfig, rows: pd.DataFrame, digest: str) -> dict[str, Any]:
    """Whether this is the published split, where it could be."""
    if config.recipe != "reference" or not reference.is_ham10000(rows["image_id"]):
        return {}
    if digest != reference.SHA256:
        log.warning("this is HAM10000, but its split is not the published one: %s, not %s", digest, reference.SHA256)
    return {"reference_sha256": reference.SHA256, "matches_reference": digest == reference.SHA256}


def _log(record: SplitRecord) -> None:
    groups = record.groups
    log.info(
        "groups: %d, joined by %s; the largest holds %d images, %d hold both labels",
        groups.count,
        ", ".join(groups.joined_by),
        groups.largest,
        groups.mixed,
    )
    log.info("%-5s %10s %10s %12s %10s %11s", "split", "images", "malignant", "malignant %", "groups", "unreadable")
    for split, n in record.counts.items():
        share = 100.0 * n["malignant"] / n["images"]
        log.info(
            "%-5s %10d %10d %12.2f %10d %11d", split, n["images"], n["malignant"], share, n["groups"], n["unreadable"]
        )
    near = record.audit["near_duplicates"]
    log.info(
        "near-duplicates: %d pairs, %d between lesions, %d across splits",
        near["pairs"],
        near["between_lesions"],
        near["crossing"],
    )
    log.info("class weight %.4f, sha256 %s", record.class_weight["weights"]["1"], record.sha256)
    for line in record.warnings:
        log.warning("%s", line)
