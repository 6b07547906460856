"""The model card: every number in it is read from an artifact; what an artifact lacks, the card leaves out.

Layout after Mitchell et al. 2019 (Model Cards for Model Reporting), front matter as Hugging Face reads it.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from components.common.artifacts import open_artifact, read_json, write_json
from components.common.errors import ArtifactError
from components.export import layout

FACTS = "card.json"
FACTS_SCHEMA = "lesionflow.card/1"


def collect_facts(folder: Path, model: Path, policy: Path, split: Path | None) -> dict[str, Any]:
    """Everything the card needs, so that it can be written again later without the inputs.

    Args:
        folder: the bundle in the making, with policy, preprocessing, labels and parity report.
        model: model artifact.
        policy: policy artifact.
        split: split artifact, when there is one.
    """
    return {
        "schema": FACTS_SCHEMA,
        "model": layout.model_facts(model),
        "training": _optional(model / "training_config.json"),
        "environment": _optional(model / "environment.json"),
        "history": training_history(model / "history.csv"),
        "class_weight": _optional(model / "class_weight.json"),
        "calibration": _optional(policy / "calibration.json"),
        "policy": _optional(folder / layout.POLICY),
        "split": _optional(split / "split.json") if split else {},
        "labels": read_json(folder / layout.LABELS, layout.LABELS_SCHEMA),
        "preprocessing": read_json(folder / layout.PREPROCESSING, layout.PREPROCESSING_SCHEMA),
        "parity": read_json(folder / layout.PARITY, layout.PARITY_SCHEMA),
    }


def write_card(folder: Path, facts: Mapping[str, Any]) -> None:
    """Writes `card.json` and `model_card.md` into a bundle in the making."""
    write_json(folder / FACTS, dict(facts))
    (folder / layout.CARD).write_text(render(facts, None), encoding="utf-8")


def card_with_metrics(bundle: Path, evaluation: Path) -> str:
    """The card of a bundle with the metrics of its evaluation, as Markdown.

    Raises:
        ArtifactError: the evaluation is of another bundle.
    """
    made = open_artifact(bundle, "bundle")
    judged = open_artifact(evaluation, "evaluation")
    if judged.made_from.get("bundle") != made.digest:
        raise ArtifactError(f"{evaluation}: made from another bundle than {bundle}; evaluate this one first")
    facts = read_json(bundle / FACTS, FACTS_SCHEMA)
    return render(facts, read_json(evaluation / "metrics.json", "lesionflow.metrics/1"))


def render(facts: Mapping[str, Any], metrics: Mapping[str, Any] | None) -> str:
    """The card as Markdown, with test metrics where they are given."""
    return str(_template().render(**facts, metrics=metrics, decisions=layout.DECISIONS))


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


def plain(mapping: Mapping[str, Any]) -> dict[str, str]:
    """The scalar entries of a mapping, as text, by readable name."""
    scalars = {k: v for k, v in mapping.items() if isinstance(v, (str, int, float)) and k != "schema" and v != ""}
    return {key.replace("_", " "): estimate(value).replace("|", "/") for key, value in scalars.items()}


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


@cache
def _template() -> Any:
    import jinja2

    loader = jinja2.PackageLoader("components.export", "templates")
    environment = jinja2.Environment(
        loader=loader, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined, autoescape=False
    )
    environment.filters |= {"estimate": estimate, "plain": plain}
    environment.globals["gaps"] = gaps
    return environment.get_template("model_card.md.j2")


def _optional(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    value = json.loads(path.read_text(encoding="utf-8"))
    return value if isinstance(value, dict) else {}
