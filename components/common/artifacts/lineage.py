"""`lineage.json`: where every row of the table went, from the table to the images a bundle was evaluated on.

Evaluate writes it once; the report, the card, the checklist and the summaries read it, so that their counts cannot
disagree. It is refused where its own counts do not add up.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal, Self, get_args

from pydantic import model_validator

from components.common.artifacts.json_file import Count, Document, read_record, write_json

SCHEMA = "lesionflow.lineage/1"
FILE = "lineage.json"
GENERATED = ("generated", "sample_camera")  # how the `dataset` of generated images begins

SplitName = Literal["train", "val", "test"]


class Counts(Document):
    """Rows of the table, by class; `unlabelled` have neither."""

    images: Count
    malignant: Count
    benign: Count
    unlabelled: Count = 0

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if self.images != self.malignant + self.benign + self.unlabelled:
            raise ValueError(f"{self.images} images are not {self.malignant} + {self.benign} + {self.unlabelled}")
        return self

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            images=self.images + other.images,
            malignant=self.malignant + other.malignant,
            benign=self.benign + other.benign,
            unlabelled=self.unlabelled + other.unlabelled,
        )


NOTHING = Counts(images=0, malignant=0, benign=0)


class Left(Document):
    """Images that left at one point, for one reason.

    Attributes:
        reason: verdict of ingest, or status of the bundle.
        counts: how many, by class.
        diagnoses: images by diagnosis as the table writes it; the rarest are left out beyond fifty.
    """

    reason: str
    counts: Counts
    diagnoses: dict[str, Count]


class Part(Document):
    """What became of the images of one split.

    Attributes:
        assigned: images the split assigned to it.
        unusable: of those, images whose file ingest could not use.
        usable: the rest.
        lost_in_records: usable images that the records lack, changed or gone since; None without records.
    """

    assigned: Counts
    unusable: list[Left]
    usable: Counts
    lost_in_records: Counts | None

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if total(self.unusable) + self.usable != self.assigned:
            raise ValueError(f"unusable and usable images do not add up to {self.assigned.images} assigned ones")
        return self


class NearDuplicates(Document):
    """Pairs of near-duplicate images that the split found."""

    pairs: Count
    between_lesions: Count
    crossing: Count


class Groups(Document):
    """What the groups are that share a split, as `split.json` has it.

    Attributes:
        known: whether the table names lesions or patients at all.
        joined_by: what joins two images: lesion, patient, near-duplicate, a column of the table.
        count: number of groups.
        patients_across_splits: patients with images in several splits; None where the table names none.
        contradictions: pairs of near-duplicate images with different labels that stayed in; others were dropped.
    """

    known: bool
    joined_by: list[str]
    count: Count
    patients_across_splits: Count | None
    contradictions: Count


class Lineage(Document):
    """The content of `lineage.json`.

    Attributes:
        table: rows of the table.
        lesions: different lesion ids among them.
        groups: what was kept whole by the split.
        generated: rows whose `dataset` says that a program drew them.
        malignant_diagnoses: diagnoses that count as malignant, as the table writes them.
        dropped: rows without a usable label, or that the label policy excludes.
        undivided: labelled rows that the recipe put in no split.
        parts: train, val and test.
        near_duplicates: None where the split did not look for them.
        unread: usable test images that the bundle could not read.
        read: test images that every figure is computed on.
    """

    table: Counts
    lesions: Count
    groups: Groups
    generated: Count
    malignant_diagnoses: list[str]
    dropped: list[Left]
    undivided: Counts
    parts: dict[SplitName, Part]
    near_duplicates: NearDuplicates | None
    unread: list[Left]
    read: Counts

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        divided = _sum(part.assigned for part in self.parts.values())
        if total(self.dropped) + self.undivided + divided != self.table:
            raise ValueError(f"dropped, divided and other rows do not add up to the {self.table.images} of the table")
        if total(self.unread) + self.read != self.parts["test"].usable:
            raise ValueError(f"images read and not read do not add up to {self.parts['test'].usable.images} of test")
        return self

    def in_order(self) -> list[tuple[SplitName, Part]]:
        """Train, val, test."""
        return [(name, self.parts[name]) for name in get_args(SplitName)]

    @property
    def unusable(self) -> Counts:
        """Images of any split whose file could not be used."""
        return _sum(total(part.unusable) for part in self.parts.values())

    @property
    def usable(self) -> Counts:
        """Images of any split that could be used."""
        return _sum(part.usable for part in self.parts.values())

    @property
    def notice(self) -> str:
        """What has to stand over everything said of generated images; nothing for photographs."""
        return generated_notice(self.generated, self.table.images)

    def save(self, path: Path) -> None:
        """Writes `lineage.json`."""
        write_json(path, {"schema": SCHEMA, **self.model_dump()})


def generated_notice(generated: int, images: int) -> str:
    """The sentence over everything said of images of which some were drawn by a program; empty where none was."""
    if not generated:
        return ""
    return (
        f"Generated data: {generated:,} of {images:,} images were drawn by a program. Nothing here is a result about "
        "patients."
    )


def total(parts: Iterable[Left]) -> Counts:
    """All images that left for any of the reasons."""
    return _sum(part.counts for part in parts)


def _sum(counts: Iterable[Counts]) -> Counts:
    return sum(counts, NOTHING)


def load_lineage(path: Path) -> Lineage | None:
    """Reads `lineage.json`; None where there is no such file, as in evaluations by version 0.1.

    Raises:
        ArtifactError: a field is missing or of another type, or counts do not add up.
    """
    if not path.is_file():
        return None
    return read_record(path, SCHEMA, Lineage, "evaluate the bundle again")
