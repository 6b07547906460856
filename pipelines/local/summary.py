"""`summary.json` and the table printed at the end of a run: read from artifacts, nothing computed anew."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.common.artifacts.split import SPLITS, read_record

SCHEMA = "lesionflow.summary/1"


def summarize(run: Path, seconds: Mapping[str, float]) -> dict[str, Any]:
    """Collects the figures a person asks for first.

    Args:
        run: folder of a complete run, one folder a step.
        seconds: wall-clock seconds of each step.
    """
    ingest = _json(run / "ingest" / "ingest.json")
    split = read_record(run / "split")
    manifest = _json(run / "records" / "manifest.json")
    metrics = _json(run / "evaluate" / "metrics.json")
    policy = _json(run / "calibrate" / "decision_policy.json")
    model = _json(run / "train" / "model.json")
    lost = sum(part["lost"] for part in manifest["splits"].values())
    return {
        "schema": SCHEMA,
        "images": {"rows": ingest["rows"], "usable": ingest["ok"], "lost": ingest["lost"], "lost_in_records": lost},
        "split": {
            "recipe": split.recipe,
            "sha256": split.sha256,
            "found": {name: manifest["splits"][name]["found"] for name in SPLITS},
            "malignant": {name: manifest["splits"][name]["label_counts"]["1"] for name in SPLITS},
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
    size = "x".join(str(side) for side in summary["model"]["image_size"])
    called, are = (_percent(decision[name]) for name in ("predicted_positive_rate", "prevalence"))
    rows = [
        ("images", f"{images['rows']} in the table, {images['usable']} usable, {images['lost']} lost"),
        ("split", f"{split['recipe']}, sha256 {split['sha256'][:16]}"),
        ("  train, val, test", " / ".join(str(split["found"][name]) for name in SPLITS)),
        ("  malignant", " / ".join(str(split["malignant"][name]) for name in SPLITS)),
        ("  class weight", f"{split['class_weight']:.4f}"),
        ("model", f"{summary['model']['architecture']} at {size}"),
        ("test", f"{test['n']} images of {test['groups']} lesions, {test['malignant']} malignant"),
        ("  ROC-AUC", interval(test["roc_auc"])),
        ("  AP", interval(test["average_precision"])),
        ("decision rule", f"{rule}, chosen on validation"),
        ("  threshold", f"{decision['threshold']:.4f}"),
        ("  sensitivity", interval(decision["sensitivity"])),
        ("  specificity", interval(decision["specificity"])),
        ("  called malignant", f"{called}, malignant are {are}"),
        ("calibration slope", f"{interval(summary['calibration_slope'])}, calibrator {decision['calibrator']}"),
    ]
    return [
        "",
        *(f"{name:<20}{text}" for name, text in rows),
        "(in brackets: 95 % intervals that resample lesions)",
        "",
    ]


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
