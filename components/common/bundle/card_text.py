"""How the card writes figures, plain values and gains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.common.artifacts.estimate import Estimate
from components.common.artifacts.metrics import SliceRow
from components.common.artifacts.model import Model
from components.common.artifacts.presentation import DASH, estimate_text
from components.common.artifacts.slices import Graded, graded, images_behind

NOT_ESTIMABLE = "not estimable"


def estimate(found: Estimate | Mapping[str, Any] | None, form: str = "{:.3f}") -> str:
    """`0.884 (0.861 to 0.905)`; `not estimable` without a value."""
    return estimate_text(found, form, NOT_ESTIMABLE)


def slice_figure(row: SliceRow, name: Graded) -> str:
    """`45/50, 0.900 (0.800 to 0.960)`; `too few (n = 12)`; a dash where the group has no image of the class."""
    found, n = graded(row, name), images_behind(row, name)
    if found.value is None:
        return DASH
    if found.status == "insufficient":
        return f"too few (n = {n})"
    counted = "" if name == "roc_auc" else f"{round(found.value * n)}/{n}, "
    return counted + estimate_text(found)


def listed(counts: Mapping[str, int]) -> str:
    """`mel 3, nv 4`."""
    return ", ".join(f"{name} {n}" for name, n in counts.items())


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
