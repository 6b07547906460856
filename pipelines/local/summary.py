"""`summary.json` and the table printed at the end of a run: read from artifacts, nothing computed anew."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.common.artifacts.json_file import LARGE_BYTES, read_object
from components.common.artifacts.metrics import FILE as METRICS
from components.common.artifacts.metrics import Estimate, load_metrics, plain
from components.common.artifacts.model import read_facts
from components.common.artifacts.policy import load_policy
from components.common.artifacts.presentation import estimate_text, percent_text
from components.common.artifacts.records_manifest import read_manifest
from components.common.artifacts.split import SPLITS, read_record

SCHEMA = "lesionflow.summary/1"


def summarize(run: Path, seconds: Mapping[str, float]) -> dict[str, Any]:
    """Collects the figures a reader wants first.

    Args:
        run: folder of a complete run, one folder per step.
        seconds: wall-clock seconds of each step.

    Raises:
        ArtifactError: an artifact of the run lacks a file, or a file lacks a field.
    """
    ingest = _json(run / "ingest" / "ingest.json")
    split = read_record(run / "split")
    manifest = read_manifest(run / "records")
    metrics = load_metrics(run / "evaluate" / METRICS)
    policy = load_policy(run / "calibrate" / "decision_policy.json")
    model = read_facts(run / "train")
    lost = sum(part.lost for part in manifest.splits.values())
    return {
        "schema": SCHEMA,
        "images": {"rows": ingest["rows"], "usable": ingest["ok"], "lost": ingest["lost"], "lost_in_records": lost},
        "split": {
            "recipe": split.recipe,
            "sha256": split.sha256,
            "found": {name: manifest.splits[name].found for name in SPLITS},
            "malignant": {name: manifest.splits[name].label_counts["1"] for name in SPLITS},
            "class_weight": manifest.class_weight["1"],
            "groups": split.groups.unit,
        },
        "model": {"architecture": model.architecture, "image_size": list(model.image_size)},
        "test": {
            "n": metrics.n,
            "malignant": metrics.malignant,
            "groups": metrics.groups,
            "lesions": metrics.lesions,
            "roc_auc": plain(metrics.roc_auc),
            "average_precision": plain(metrics.average_precision),
        },
        "decision": {
            "policy": policy.operating_point["policy"],
            "target_sensitivity": policy.operating_point.get("target_sensitivity"),
            "policy_id": policy.policy_id,
            "calibrator": policy.calibrator.name,
            "threshold": metrics.threshold.probability,
            "sensitivity": plain(metrics.sensitivity),
            "specificity": plain(metrics.specificity),
            "predicted_positive_rate": plain(metrics.predicted_positive_rate),
            "prevalence": metrics.prevalence,
        },
        "calibration_slope": plain(metrics.calibration.slope),
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
    }


def summary_lines(summary: Mapping[str, Any]) -> list[str]:
    """The summary as a table of at most 78 columns."""
    images, split, test, decision = (summary[key] for key in ("images", "split", "test", "decision"))
    target = decision["target_sensitivity"]
    rule = decision["policy"] + (f", target sensitivity {target:.2f}" if target is not None else "")
    size = "x".join(str(side) for side in summary["model"]["image_size"])
    rate = percent_text(decision["predicted_positive_rate"]["value"])
    rows = [
        ("images", f"{images['rows']} in the table, {images['usable']} usable, {images['lost']} lost"),
        ("split", f"{split['recipe']}, sha256 {split['sha256'][:16]}"),
        ("  train, val, test", " / ".join(str(split["found"][name]) for name in SPLITS)),
        ("  malignant", " / ".join(str(split["malignant"][name]) for name in SPLITS)),
        ("  class weight", f"{split['class_weight']:.4f}"),
        ("model", f"{summary['model']['architecture']} at {size}"),
        ("test", f"{test['n']} images of {test['lesions']} lesions, {test['malignant']} malignant"),
        ("  ROC-AUC", _interval(test["roc_auc"])),
        ("  average precision", _interval(test["average_precision"])),
        ("decision rule", f"{rule}, chosen on validation"),
        ("  threshold", f"{decision['threshold']:.4f}"),
        ("  sensitivity", _interval(decision["sensitivity"])),
        ("  specificity", _interval(decision["specificity"])),
        ("  prevalence", f"{percent_text(decision['prevalence'])}, predicted positive rate {rate}"),
        ("calibration slope", f"{_interval(summary['calibration_slope'])}, calibrator {decision['calibrator']}"),
    ]
    return [
        "",
        *(f"{name:<21}{text}" for name, text in rows),
        f"(in brackets: 95 % intervals that resample {split['groups']})",
        "",
    ]


def _interval(value: Mapping[str, float | None]) -> str:
    return estimate_text(Estimate.model_validate(value))


def _json(path: Path) -> dict[str, Any]:
    return read_object(path, most=LARGE_BYTES)
