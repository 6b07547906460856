"""Class weights: benign 1, malignant n0/n1, and the logit offset that training with them causes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.common.runtime.errors import DataError

SCHEMA = "lesionflow.class_weight/1"


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

    def record(self) -> dict[str, Any]:
        """The content of `class_weight.json`."""
        return {
            "schema": SCHEMA,
            "weights": self.weights,
            "counts": {"0": self.benign, "1": self.malignant},
            "logit_offset": self.logit_offset,
        }

    @classmethod
    def from_counts(cls, counts: Mapping[str, int]) -> ClassWeight:
        """From images by label, `{"0": n0, "1": n1}`."""
        return cls(int(counts.get("0", 0)), int(counts.get("1", 0)))
