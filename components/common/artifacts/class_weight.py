"""Class weights: benign 1, malignant n0/n1, and the logit offset that training with them causes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.common.artifacts.json_file import read_record, write_json
from components.common.runtime.errors import DataError

SCHEMA = "lesionflow.class_weight/1"
CLASS_WEIGHT = "class_weight.json"


@dataclass(frozen=True)
class ClassWeight:
    """Weights that give both classes the same total weight.

    Attributes:
        benign: images of label 0.
        malignant: images of label 1.
    """

    benign: int
    malignant: int

    def __post_init__(self) -> None:
        """Refuses an absent class.

        Raises:
            DataError: a class has no image.
        """
        if self.benign < 1 or self.malignant < 1:
            raise DataError(
                f"class weight: train holds {self.benign} benign and {self.malignant} malignant images; "
                "both classes are needed"
            )

    @property
    def weights(self) -> dict[str, float]:
        """Weight by label: `{"0": 1.0, "1": n0 / n1}`."""
        return {"0": 1.0, "1": self.benign / self.malignant}

    @property
    def logit_offset(self) -> float:
        """ln(w1 / w0), by which training with these weights shifts the optimal logit (METHODS, calibration)."""
        return math.log(self.benign / self.malignant)

    @property
    def counts(self) -> dict[str, int]:
        """Images by label."""
        return {"0": self.benign, "1": self.malignant}

    def record(self) -> dict[str, Any]:
        """The content of `class_weight.json`."""
        return _record(self.weights, self.logit_offset, counts=self.counts)

    def save(self, folder: Path) -> None:
        """Writes `class_weight.json` into `folder`."""
        write_class_weight(folder, self.weights, self.logit_offset, counts=self.counts)


def write_class_weight(folder: Path, weights: Mapping[str, float], logit_offset: float, **further: Any) -> None:
    """Writes `class_weight.json`: weight by label, the logit offset that training with them causes, further facts."""
    write_json(folder / CLASS_WEIGHT, _record(weights, logit_offset, **further))


def _record(weights: Mapping[str, float], logit_offset: float, **further: Any) -> dict[str, Any]:
    return {"schema": SCHEMA, "weights": dict(weights), "logit_offset": logit_offset, **further}


def read_logit_offset(folder: Path) -> float:
    """The logit offset that `class_weight.json` in `folder` records: ln(w1 / w0).

    Raises:
        ArtifactError: the file is missing, of another schema, or its offset is not a finite number.
    """
    return read_record(folder / CLASS_WEIGHT, SCHEMA, _Offset, "train again").logit_offset


@dataclass(frozen=True)
class _Offset:
    logit_offset: float
