"""How the card writes figures: plain values, gains, gaps between groups, what was confirmed by histology."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from components.common.artifacts.metrics import Estimate, GradedEstimate, SliceRow
from components.common.artifacts.model import Model
from components.common.artifacts.presentation import estimate_text

NOT_ESTIMABLE = "not estimable"
Graded = Literal["sensitivity", "specificity", "roc_auc"]


def estimate(found: Estimate | None, form: str = "{:.3f}") -> str:
    """`0.884 (0.861 to 0.905)`; `insufficient` where a slice has too few images of the class it needs."""
    if isinstance(found, GradedEstimate) and found.value is not None and found.status == "insufficient":
        return "insufficient"
    return estimate_text(found, form, NOT_ESTIMABLE)


def signed(gain: Mapping[str, Any]) -> str:
    """`+0.0123 (-0.0010 to +0.0250)` from {value, lower, upper}; the bare difference without bounds."""
    found = Estimate(value=gain["value"], lower=gain.get("lower"), upper=gain.get("upper"))
    return estimate_text(found, "{:+.4f}")


def scalar(value: Any) -> str:
    """A plain value as text: yes or no, four significant digits, `not recorded` for null."""
    if value is None:
        return "not recorded"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def plain(mapping: Mapping[str, Any]) -> dict[str, str]:
    """The scalar entries of a mapping, as text, by readable name."""
    scalars = {k: v for k, v in mapping.items() if isinstance(v, (str, int, float)) and k != "schema" and v != ""}
    return {key.replace("_", " "): scalar(value) for key, value in scalars.items()}


def training_history(model: Model) -> dict[str, Any]:
    """Epochs, seconds and the best validation figures of the training; empty for an ensemble."""
    if not model.history:
        return {}
    facts: dict[str, Any] = {"epochs_run": len(model.history)}
    for name, column, take in (
        ("seconds_of_training", "seconds", sum),
        ("best_validation_average_precision", "val_average_precision", max),
        ("best_validation_roc_auc", "val_roc_auc", max),
    ):
        values = model.history_column(column)
        if values:
            facts[name] = take(values)
    return facts


def graded(row: SliceRow, name: Graded) -> GradedEstimate:
    """One of the figures a slice is judged by."""
    return {"sensitivity": row.sensitivity, "specificity": row.specificity, "roc_auc": row.roc_auc}[name]


def gaps(slices: Sequence[SliceRow], metric: Graded) -> dict[str, str]:
    """Largest difference of a figure between groups of one slice that are large enough to be compared."""
    found: dict[str, list[tuple[float, str]]] = {}
    for row in slices:
        one = graded(row, metric)
        if one.value is not None and one.status == "ok":
            found.setdefault(row.slice, []).append((one.value, row.value))
    wide = {name: (min(values), max(values)) for name, values in found.items() if len(values) > 1}
    return {
        name: f"{high[0] - low[0]:.3f} ({low[1]} {low[0]:.3f}, {high[1]} {high[0]:.3f})"
        for name, (low, high) in wide.items()
    }


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
    histology = [row for row in rows if row.value in ("histo", "histopathology")]
    if not histology:
        return None
    return Confirmed(
        malignant=sum(row.malignant for row in histology),
        malignant_all=sum(row.malignant for row in rows),
        benign=sum(row.n - row.malignant for row in histology),
        benign_all=sum(row.n - row.malignant for row in rows),
    )
