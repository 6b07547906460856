"""A small real data set: a table of eight images of six lesions, and their files."""

import csv
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from components.common.imaging.pixels import encode_jpeg

FIELDS = ["lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization", "dataset"]
DIAGNOSES = ["nv", "nv", "mel", "mel", "bkl", "bcc", "akiec", "df"]


def picture(seed, height=60, width=80):
    random = np.random.default_rng(seed)
    field = cv2.resize(random.uniform(40, 220, (7, 9, 3)).astype(np.float32), (width, height))
    return np.clip(field + random.normal(0, 5, field.shape), 0, 255).astype(np.uint8)


@dataclass
class Collection:
    folder: Path
    rows: list[dict[str, str]]

    @property
    def table(self):
        return str(self.folder / "table.csv")

    @property
    def root(self):
        return str(self.folder / "images")

    def file(self, number):
        return self.folder / "images" / f"im{number}.jpg"

    def write_table(self, **changes):
        """Writes the table; `changes` maps a column to {row number: value}."""
        for name, values in changes.items():
            for number, value in values.items():
                self.rows[number][name] = value
        with Path(self.table).open("w", newline="") as handle:
            writer = csv.DictWriter(handle, list(self.rows[0]))
            writer.writeheader()
            writer.writerows(self.rows)
        return self.table


@pytest.fixture
def collection(tmp_path):
    lesions = ["L0", "L0", "L2", "L2", "L4", "L5", "L6", "L7"]
    rows = [
        dict(zip(FIELDS, [lesion, f"im{i}", dx, "histo", "45.0", "male", "back", "a"], strict=True))
        for i, (lesion, dx) in enumerate(zip(lesions, DIAGNOSES, strict=True))
    ]
    made = Collection(tmp_path / "data", rows)
    (made.folder / "images").mkdir(parents=True)
    for i in range(len(rows)):
        made.file(i).write_bytes(encode_jpeg(picture(i), 90))
    made.write_table()
    return made
