"""How the card writes figures: estimates, tables of plain values, gaps between groups."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

NAMES = {
    "roc_auc": "ROC-AUC", "average_precision": "average precision", "predicted_positive_rate": "called malignant",
    "ppv": "positive predictive value", "npv": "negative predictive value", "log_loss": "log loss",
    "number_needed_to_biopsy": "called malignant per cancer found",
    "dx": "diagnosis", "dx_type": "kind of confirmation", "source": "acquisition source",
}  # fmt: skip


def named(name: str) -> str:
    """The name a reader knows a figure or slice by."""
    return NAMES.get(name, name.replace("_", " "))


def estimate(value: Any) -> str:
    """`0.884 (0.861 to 0.905)` from {value, lower, upper}, or the bare number."""
    if value is None or (isinstance(value, Mapping) and value.get("value") is None):
        return "not estimable"
    if isinstance(value, Mapping) and value.get("status") == "insufficient":
        return "insufficient"
    if isinstance(value, Mapping):
        text = f"{value['value']:.3f}"
        bounds = value.get("lower"), value.get("upper")
        return text if None in bounds else f"{text} ({bounds[0]:.3f} to {bounds[1]:.3f})"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def signed(value: Mapping[str, Any]) -> str:
    """`+0.0123 (-0.0010 to +0.0250)` from {value, lower, upper}; the bare difference without bounds."""
    bounds = value.get("lower"), value.get("upper")
    text = f"{value['value']:+.4f}"
    return text if None in bounds else f"{text} ({bounds[0]:+.4f} to {bounds[1]:+.4f})"


def plain(mapping: Mapping[str, Any]) -> dict[str, str]:
    """The scalar entries of a mapping, as text, by readable name."""
    scalars = {k: v for k, v in mapping.items() if isinstance(v, (str, int, float)) and k != "schema" and v != ""}
    return {key.replace("_", " "): _scalar(value) for key, value in scalars.items()}


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return estimate(value).replace("|", "/")


def training_history(path: Path) -> dict[str, Any]:
    """Epochs, seconds and the best validation average precision of `history.csv`; empty without one."""
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    facts: dict[str, Any] = {"epochs_run": len(rows)}
    for name, column, take in (
        ("seconds_of_training", "seconds", sum),
        ("best_validation_average_precision", "val_average_precision", max),
        ("best_validation_roc_auc", "val_roc_auc", max),
    ):
        values = [float(row[column]) for row in rows if row.get(column)]
        if values and all(math.isfinite(value) for value in values):
            facts[name] = take(values)
    return facts


def gaps(slices: Sequence[Mapping[str, Any]], metric: str) -> dict[str, str]:
    """Largest difference of a metric between groups of one slice that are large enough to be compared."""
    found: dict[str, list[tuple[float, str]]] = {}
    for row in slices:
        value = row.get(metric)
        if isinstance(value, Mapping) and value.get("value") is not None and value.get("status", "ok") == "ok":
            found.setdefault(str(row["slice"]), []).append((float(value["value"]), str(row.get("value"))))
    wide = {name: (min(values), max(values)) for name, values in found.items() if len(values) > 1}
    return {
        name: f"{high[0] - low[0]:.3f} ({low[1]} {low[0]:.3f}, {high[1]} {high[0]:.3f})"
        for name, (low, high) in wide.items()
    }


def confirmed(slices: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Images confirmed by histology and in all, of each class, from the slices by kind of confirmation."""
    rows = [row for row in slices if row.get("slice") == "dx_type" and "malignant" in row and "n" in row]
    histology = [row for row in rows if str(row.get("value")) in ("histo", "histopathology")]
    if not histology:
        return {}

    def count(part: Sequence[Mapping[str, Any]], malignant: bool) -> int:
        return sum(int(row["malignant"]) if malignant else int(row["n"]) - int(row["malignant"]) for row in part)

    return {
        "malignant": count(histology, True), "malignant_all": count(rows, True),
        "benign": count(histology, False), "benign_all": count(rows, False),
    }  # fmt: skip
