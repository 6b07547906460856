"""`characteristics.json`: who is in training, validation and test, counted in images, lesions and patients (Table 1).

Evaluate counts the usable images of the split; the report and the card show the same table.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from components.common.artifacts.json_file import Count, Document, Number, read_record, write_json
from components.common.artifacts.lineage import SplitName

SCHEMA = "lesionflow.characteristics/1"
FILE = "characteristics.json"


class Units(Document):
    """The same group of images in three units; no patients where the table names none.

    Attributes:
        images: images of the group.
        lesions: lesions with such an image; one whose images differ counts in several groups.
        patients: patients with such an image.
    """

    images: Count
    lesions: Count
    patients: Count | None


class Level(Document):
    """One value of a characteristic, such as sex female; `unknown` where the table has none."""

    value: str
    counts: dict[SplitName, Units]


class Characteristic(Document):
    """One column of the table, by the name slices have, and its values with the most common first."""

    name: str
    levels: list[Level]


class Age(Document):
    """Quartiles of the images' ages in years, where they are known; none where no age is."""

    lower: Number | None
    median: Number | None
    upper: Number | None


class Characteristics(Document):
    """The content of `characteristics.json`.

    Attributes:
        all: usable images of each split.
        malignant: those of malignant lesions.
        age: quartiles in each split.
        columns: what the table knows of them.
        absent: names of columns that it does not have, or that are empty in every row.
    """

    all: dict[SplitName, Units]
    malignant: dict[SplitName, Units]
    age: dict[SplitName, Age]
    columns: list[Characteristic] = Field(default_factory=list)
    absent: list[str] = Field(default_factory=list)

    def save(self, path: Path) -> None:
        """Writes `characteristics.json`."""
        write_json(path, {"schema": SCHEMA, **self.model_dump()})


def load_characteristics(path: Path) -> Characteristics | None:
    """Reads `characteristics.json`; None where there is no such file, as in evaluations by version 0.1.

    Raises:
        ArtifactError: a field is missing or of another type.
    """
    return read_record(path, SCHEMA, Characteristics, "evaluate the bundle again") if path.is_file() else None
