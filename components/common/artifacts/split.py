"""The split: which image is in train, val or test, and the record of how that was decided.

`split.csv` has one row per image that was divided, `split.json` recipe, counts, digest and audit, `index.parquet` the
index with its final groups. Other files of the artifact (near-duplicates, class weight, folds) are for people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from components.common.artifacts import json_file
from components.common.artifacts.folder import sha256_bytes
from components.common.artifacts.index import THUMBNAIL, Verdict, read_index, write_index
from components.common.artifacts.json_file import LARGE_BYTES, shown, write_json
from components.common.runtime.errors import ArtifactError

SCHEMA = "lesionflow.split/1"
SPLITS = ("train", "val", "test")
COLUMNS = ("image_id", "lesion_id", "group_id", "label", "split")  # of split.csv
_MOST_SHOWN = 80
_TABLE, _RECORD = "split.csv", "split.json"


@dataclass(frozen=True)
class Groups:
    """What the groups are that share a split.

    Attributes:
        known: whether the table names lesions or patients at all. If it does not, images of one lesion may be in train
            and in test, and nobody can know.
        joined_by: what joins two images: lesion, patient, a column of the table, near-duplicate.
        columns: columns of the index whose equal values join two images.
        images_without_ids: images with neither a lesion nor a patient of their own.
        count: number of groups.
        mixed: groups that hold both labels.
        largest: images of the largest group.
        patients_across_splits: patients whose images are in several splits; null where the table names none.
        largest_id: the largest group's id.
        largest_malignant: malignant images of the largest group.
        largest_column: the column that joins most of its images by one value; empty where none joins half of them.
        largest_value: that value.
        malignant_images: malignant images of all groups.
    """

    known: bool = True
    joined_by: list[str] = field(default_factory=lambda: ["lesion"])
    columns: list[str] = field(default_factory=lambda: ["lesion_id"])
    images_without_ids: int = 0
    count: int = 0
    mixed: int = 0
    largest: int = 0
    patients_across_splits: int | None = None
    largest_id: str = ""
    largest_malignant: int = 0
    largest_column: str = ""
    largest_value: str = ""
    malignant_images: int = 0

    @property
    def unit(self) -> str:
        """What a group is, in the plural, for a reader: lesions, patients, groups of another kind, or images."""
        if not self.known:
            return "images"
        further = set(self.joined_by) - {"lesion", "near-duplicate"}
        return "lesions" if not further else "patients" if further == {"patient"} else "groups"


@dataclass(frozen=True)
class SplitRecord:
    """What `split.json` says.

    Attributes:
        recipe: recipe as it was given.
        seed: seed that was used.
        sha256: digest of the CSV `image_id,split`, sorted by image id; it identifies the split.
        counts: images, malignant, benign, lesions, groups and unreadable images of each split; malignant_groups,
            benign_groups and mixed_groups are the groups with a readable malignant image, benign image, or both.
        parameters: all parameters of the step.
        reference_sha256: the published digest, where the images are HAM10000's and the recipe is reference.
        matches_reference: whether `sha256` is that digest.
        class_weight: weights, counts and logit offset of train.
        audit: leaks, class shares, near-duplicates, and tables of who is in which split.
        roots: image roots that ingest was given.
        groups: what the groups are.
        contradictions: pairs of near-duplicates with different labels, each as [image_id, image_id].
        warnings: what is weak about this split, in sentences.
    """

    recipe: str
    seed: int
    sha256: str
    counts: dict[str, dict[str, int]]
    parameters: dict[str, Any] = field(default_factory=dict)
    reference_sha256: str | None = None
    matches_reference: bool | None = None
    class_weight: dict[str, Any] = field(default_factory=dict)
    audit: dict[str, Any] = field(default_factory=dict)
    roots: list[dict[str, Any]] = field(default_factory=list)
    groups: Groups = field(default_factory=Groups)
    contradictions: list[list[str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def contradictions_kept(self) -> bool:
        """Whether images with contradictory labels stayed in, as the parameter `contradictions` asked."""
        return self.parameters.get("contradictions") == "keep"


@dataclass(frozen=True)
class Split:
    """A split as it is read.

    Attributes:
        rows: one row per image, in the order of `split.csv`: its columns, then those of the index.
        record: what `split.json` says.
    """

    rows: pd.DataFrame
    record: SplitRecord

    def part(self, name: str) -> pd.DataFrame:
        """The images of train, val or test, whether or not they can be read; rows numbered from 0."""
        return self.rows[self.rows["split"] == name].reset_index(drop=True)

    def usable(self, name: str) -> pd.DataFrame:
        """The images of train, val or test that ingest found to be whole; rows numbered from 0."""
        part = self.part(name)
        return part[part["verdict"] == Verdict.OK].reset_index(drop=True)


def write_split(folder: Path, index: pd.DataFrame, split: pd.Series, record: SplitRecord) -> None:
    """Writes `split.csv`, `split.json` and `index.parquet` into `folder`; equal content gives equal bytes.

    Args:
        folder: of the artifact.
        index: the index with its final groups; `thumbnail` is left out.
        split: train, val or test, for some or all rows of `index` (joined by their labels).
        record: what `split.json` is to say; its digest is made here.
    """
    write_index(folder, index.drop(columns=THUMBNAIL, errors="ignore"))
    rows = index.loc[split.index].assign(split=split)
    rows[list(COLUMNS)].to_csv(folder / _TABLE, index=False, lineterminator="\n")
    digest = split_digest(rows["image_id"], rows["split"])
    write_json(folder / _RECORD, {"schema": SCHEMA, **asdict(record), "sha256": digest})


def split_digest(image_id: pd.Series, split: pd.Series) -> str:
    """sha256 of the CSV `image_id,split` with header and LF, sorted by image id."""
    rows = pd.DataFrame({"image_id": image_id, "split": split}).sort_values("image_id")
    return sha256_bytes(rows.to_csv(index=False, lineterminator="\n").encode())


def read_split(folder: Path, columns: Sequence[str] | None = None) -> Split:
    """Reads a split artifact.

    Args:
        folder: of the artifact.
        columns: columns of the index that are needed beside those of `split.csv`; all of them by default.

    Raises:
        ArtifactError: a file or column is missing, an image is listed twice, has no label or is not in the index, or
            the table is not the one that `split.json` describes.
    """
    path = folder / _TABLE
    assigned = _read_csv(path)
    further = None if columns is None else ["image_id", *(name for name in columns if name not in COLUMNS)]
    index = read_index(folder, further).drop(columns=list(COLUMNS[1:]), errors="ignore")
    for table, where in ((assigned, path), (index, folder / "index.parquet")):
        twice = table["image_id"].duplicated()
        if twice.any():
            image = _named(table.loc[twice, "image_id"])
            raise ArtifactError(f"{where}: image {image} is listed twice, expected one row per image; split again")
    absent = assigned.loc[~assigned["image_id"].isin(index["image_id"]), "image_id"]
    if len(absent):
        raise ArtifactError(f"{folder}: image {_named(absent)} is in {_TABLE} and not in index.parquet; split again")
    record = read_record(folder)
    digest = split_digest(assigned["image_id"], assigned["split"])
    if digest != record.sha256:
        raise ArtifactError(
            f"{path}: its digest is {digest[:12]}, {_RECORD} says {shown(record.sha256[:12])}; split again"
        )
    return Split(assigned.merge(index, on="image_id", how="left"), record)


def read_record(folder: Path) -> SplitRecord:
    """Reads `split.json` of a split artifact.

    Raises:
        ArtifactError: it is missing, not such a file, or a field is missing.
    """
    return json_file.read_record(folder / _RECORD, SCHEMA, SplitRecord, "split again", most=LARGE_BYTES, complete=True)


def _named(column: pd.Series) -> str:
    """The first value of a column, as an error shows it."""
    text = str(column.iloc[0])
    return text if text.isprintable() and len(text) <= _MOST_SHOWN else shown(text)


def _read_csv(path: Path) -> pd.DataFrame:
    kinds = dict.fromkeys(COLUMNS, "str") | {"label": "int64"}
    try:  # NA and null may be ids
        table = pd.read_csv(path, dtype=kinds, keep_default_na=False)
    except (OSError, ValueError, OverflowError) as error:
        said = shown(" ".join(str(error).split()))
        raise ArtifactError(f"{path}: not readable as the table of a split ({said}); split again") from error
    absent = [name for name in COLUMNS if name not in table]
    if absent:
        raise ArtifactError(f"{path}: no column {absent[0]}; expected {', '.join(COLUMNS)}; split again")
    for name, allowed in (("split", SPLITS), ("label", (0, 1))):
        bad = table[~table[name].isin(allowed)]
        if len(bad):
            raise ArtifactError(
                f"{path}: image {_named(bad['image_id'])} has {name} {_named(bad[name])}; expected one of "
                f"{', '.join(map(str, allowed))}; split again"
            )
    return table[list(COLUMNS)].astype({"label": "int8"})
