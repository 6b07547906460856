"""`summary.json` and the table printed at the end of a run: read from artifacts, nothing computed anew."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SCHEMA = "lesionflow.summary/1"


def summarize(run: Path, seconds: Mapping[str, float]) -> dict[str, Any]:
    """Collects the figures a person asks for first.

    Args:
        run: folder of a complete run, one folder a step.
        seconds: wall-clock seconds of each step.
    """
    ingest = _json(run / "ingest" / "ingest.json")
    split = _json(run / "split" / "split.json")
    manifest = _json(run / "records" / "manifest.json")
    metrics = _json(run / "evaluate" / "metrics.json")
    policy = _json(run / "calibrate" / "decision_policy.json")
    model = _json(run / "train" / "model.json")
    lost = sum(part["lost"] for part in manifest["splits"].values())
    return {
        "schema": SCHEMA,
        "images": {"rows": ingest["rows"], "usable": ingest["ok"], "lost": ingest["lost"], "lost_in_records": lost},
        "split": {
            "recipe": split["recipe"],
            "sha256": split["sha256"],
            "found": {name: part["found"] for name, part in manifest["splits"].items()},
            "malignant": {name: part["label_counts"]["1"] for name, part in manifest["splits"].items()},
            "class_weight": manifest["class_weight"]["1"],
        },
        "model": {"architecture": model["architecture"], "image_size": model["image_size"]},
        "test": {name: metrics[name] for name in ("n", "malignant", "groups", "roc_auc", "average_precision")},
        "decision": {
            "policy": policy["operating_point"]["policy"],
            "target_sensitivity": policy["operating_point"].get("target_sensitivity"),
            "policy_id": policy["policy_id"],
            "calibrator": policy["calibrator"]["name"],
            "threshold": metrics["threshold"]["probability"],
            "sensitivity": metrics["sensitivity"],
            "specificity": metrics["specificity"],
            "predicted_positive_rate": metrics["predicted_positive_rate"],
            "prevalence": metrics["prevalence"],
        },
        "calibration_slope": metrics["calibration"]["slope"],
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
    }


def summary_lines(summary: Mapping[str, Any]) -> list[str]:
    """The summary as a table of at most 78 columns."""
    images, split, test, decision = (summary[key] for key in ("images", "split", "test", "decision"))
    target = decision["target_sensitivity"]
    rule = decision["policy"] + (f", target sensitivity {target:.2f}" if target is not None else "")
    sizes = " / ".join(f"{name} {split['found'][name]}" for name in split["found"])
    malignant = " / ".join(str(split["malignant"][name]) for name in split["malignant"])
    rows = [
        ("images", f"{images['rows']} in the table, {images['usable']} usable, {images['lost']} lost"),
        ("split", f"{sizes}  ({split['recipe']}, sha256 {split['sha256'][:8]})"),
        ("malignant", f"{malignant}, class weight {split['class_weight']:.4f}"),
        ("model", f"{summary['model']['architecture']} at {'x'.join(map(str, summary['model']['image_size']))}"),
        ("test ROC-AUC", interval(test["roc_auc"])),
        ("test AP", interval(test["average_precision"])),
        ("threshold", f"{decision['threshold']:.4f}  (chosen on validation: {rule})"),
        ("  sensitivity", interval(decision["sensitivity"])),
        ("  specificity", interval(decision["specificity"])),
        ("  called malignant", f"{_percent(decision['predicted_positive_rate'])}, "
                               f"of whom there are {_percent(decision['prevalence'])}"),
        ("calibration slope", f"{interval(summary['calibration_slope'])}  ({decision['calibrator']})"),
    ]  # fmt: skip
    head = (
        f"test: {test['n']} images, {test['malignant']} malignant, {test['groups']} lesions; 95 % intervals by lesion"
    )
    return ["", *(f"{name:<19}{text}" for name, text in rows), head]


def interval(value: Any) -> str:
    """`0.876 (0.851 to 0.899)`; a plain number without an interval."""
    if isinstance(value, Mapping):
        if value.get("lower") is None:
            return f"{value['value']:.3f}"
        return f"{value['value']:.3f} ({value['lower']:.3f} to {value['upper']:.3f})"
    return f"{value:.3f}"


def _percent(value: Any) -> str:
    number = value["value"] if isinstance(value, Mapping) else value
    return f"{100 * number:.1f} %"


def _json(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))
