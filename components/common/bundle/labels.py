"""`labels.json` of a bundle: what the numbers in its outputs mean, and which diagnosis counts as what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Self

from pydantic import Field

from components.common.artifacts.json_file import FileDocument
from components.common.bundle import layout


class Labels(FileDocument):
    """Content of `labels.json`.

    Attributes:
        positive: the class that the probability is of.
        classes: name of label 0 and of label 1.
        decisions: name of each decision, by its number.
        statuses: by the number that files for runtimes without text give.
        diagnoses: label of each diagnosis in the table; empty where export was given no split.
    """

    FILE: ClassVar[str] = layout.LABELS
    SCHEMA: ClassVar[str] = "lesionflow.labels/1"

    positive: str
    classes: list[str]
    decisions: dict[str, str]
    statuses: list[str]
    diagnoses: dict[str, int] = Field(default_factory=dict)

    @classmethod
    def of(cls, diagnoses: Mapping[str, int]) -> Self:
        """Those of this version's outputs, and of a table's diagnoses."""
        return cls(
            positive="malignant",
            classes=["benign", "malignant"],
            decisions={str(code): name for code, name in layout.DECISIONS.items()},
            statuses=list(layout.STATUSES),
            diagnoses=dict(diagnoses),
        )
