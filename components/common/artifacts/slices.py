"""What slices show: where the operating point fails, the largest gaps, what histology confirmed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from components.common.artifacts.estimate import GradedEstimate
from components.common.artifacts.metrics import Metrics, SliceRow

Graded = Literal["sensitivity", "specificity", "roc_auc"]
UNKNOWN = "unknown"  # the value of a slice for which the table records nothing
_HISTOLOGY = ("histo", "histopathology")


def graded(row: SliceRow, name: Graded) -> GradedEstimate:
    """A figure of a slice by its name."""
    return {"sensitivity": row.sensitivity, "specificity": row.specificity, "roc_auc": row.roc_auc}[name]


def images_behind(row: SliceRow, name: Graded) -> int:
    """How many images carry the figure: malignant, benign, or those of the rarer class."""
    benign = row.n - row.malignant
    return {"sensitivity": row.malignant, "specificity": benign, "roc_auc": min(row.malignant, benign)}[name]


@dataclass(frozen=True)
class Failure:
    """A group of images in which the operating point does not do what it does elsewhere.

    Attributes:
        row: the slice.
        figure: sensitivity or specificity.
        found: its value there.
        right: images of the class classified correctly.
        of: images of the class.
        sure: whether enough images carry the figure.
    """

    row: SliceRow
    figure: Literal["sensitivity", "specificity"]
    found: float
    right: int
    of: int
    sure: bool


def failures(metrics: Metrics) -> list[Failure]:
    """Groups whose whole 95 % interval lies below what the operating point is for.

    Sensitivity fails where even the upper end is below the target (without a target: below the lower end for all
    images), specificity where even the upper end is below half of that for all images. The surest come first.
    """
    target = metrics.threshold.operating_point.target_sensitivity
    floor = target if target is not None else metrics.sensitivity.lower
    half = None if metrics.specificity.value is None else metrics.specificity.value / 2
    found = []
    for row in metrics.slices:
        limits: tuple[tuple[Literal["sensitivity", "specificity"], float | None], ...] = (
            ("sensitivity", floor),
            ("specificity", half),
        )
        for name, limit in limits:
            one, of = graded(row, name), images_behind(row, name)
            if limit is None or one.value is None or one.upper is None or one.upper >= limit:
                continue
            found.append(Failure(row, name, one.value, round(one.value * of), of, one.status == "ok"))
    return sorted(found, key=lambda one: (not one.sure, -one.of))


@dataclass(frozen=True)
class Gap:
    """Largest difference of a figure between two groups of one slice that are large enough to be compared."""

    slice: str
    low: float
    low_group: str
    high: float
    high_group: str

    @property
    def size(self) -> float:
        """The difference."""
        return self.high - self.low


def gaps(slices: Sequence[SliceRow], metric: Graded) -> list[Gap]:
    """The gap of each slice that has one, the largest first."""
    found: dict[str, list[tuple[float, str]]] = {}
    for row in slices:
        one = graded(row, metric)
        if one.value is not None and one.status == "ok":
            found.setdefault(row.slice, []).append((one.value, row.value))
    wide = [Gap(name, *min(values), *max(values)) for name, values in found.items() if len(values) > 1]
    return sorted(wide, key=lambda gap: -gap.size)


def skin_types_known(slices: Sequence[SliceRow]) -> bool:
    """Whether the skin type of any test image is in the table."""
    return any(row.slice == "skin_type" and row.value != UNKNOWN for row in slices)


@dataclass(frozen=True)
class Confirmed:
    """Test images confirmed by histology, and all, of each class."""

    malignant: int
    malignant_all: int
    benign: int
    benign_all: int


def confirmed(slices: Sequence[SliceRow]) -> Confirmed | None:
    """Counted from the slices by kind of confirmation; None where no image is confirmed by histology."""
    rows = [row for row in slices if row.slice == "dx_type"]
    histology = [row for row in rows if row.value in _HISTOLOGY]
    if not histology:
        return None
    return Confirmed(
        malignant=sum(row.malignant for row in histology),
        malignant_all=sum(row.malignant for row in rows),
        benign=sum(row.n - row.malignant for row in histology),
        benign_all=sum(row.n - row.malignant for row in rows),
    )
