"""`summary.json` and the table printed at the end of a run: read from artifacts, nothing computed anew."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from components.common.artifacts.ledger import FILE as OPENINGS
from components.common.artifacts.ledger import load_openings, times_text
from components.common.artifacts.lineage import FILE as LINEAGE
from components.common.artifacts.lineage import Lineage, load_lineage, total
from components.common.artifacts.metrics import FILE as METRICS
from components.common.artifacts.metrics import Metrics, load_metrics, plain
from components.common.artifacts.model import read_facts
from components.common.artifacts.policy import FILE as POLICY
from components.common.artifacts.policy import DecisionPolicy, load_policy
from components.common.artifacts.presentation import estimate_text, percent_text
from components.common.artifacts.records_manifest import RecordsManifest, read_manifest
from components.common.artifacts.split import SPLITS, SplitRecord, read_record
from components.common.artifacts.trust import FILE as TRUST
from components.common.artifacts.trust import LEVELS, Level, load_trust
from components.common.runtime.errors import ArtifactError

SCHEMA = "lesionflow.summary/1"


def summarize(run: Path, seconds: Mapping[str, float]) -> dict[str, Any]:
    """Collects the figures a reader wants first.

    Raises:
        ArtifactError: an artifact of the run lacks a file, or a file lacks a field.
    """
    judged = run / "evaluate"
    metrics, lineage = load_metrics(judged / METRICS), load_lineage(judged / LINEAGE)
    if lineage is None:
        raise ArtifactError(f"{judged / LINEAGE}: no such file; evaluate the bundle again")
    model = read_facts(run / "train")
    return {
        "schema": SCHEMA,
        "images": _counted_images(lineage),
        "split": _divided(read_record(run / "split"), read_manifest(run / "records")),
        "model": {
            "architecture": model.architecture,
            "image_size": list(model.image_size),
            **({"members": model.members} if model.members else {}),
        },
        "test": _tested(metrics, lineage, len(load_openings(judged / OPENINGS)) or None),
        "decision": _decided(metrics, load_policy(run / "calibrate" / POLICY)),
        "calibration_slope": plain(metrics.calibration.slope),
        "before_you_trust_this": [line.model_dump() for line in load_trust(judged / TRUST)],
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
    }


def _counted_images(lineage: Lineage) -> dict[str, Any]:
    lost = sum(part.lost_in_records.images for _, part in lineage.in_order() if part.lost_in_records is not None)
    return {
        "rows": lineage.table.images,
        "dropped": total(lineage.dropped).images,
        "lost": lineage.unusable.images,
        "lost_in_records": lost,
        "usable": lineage.usable.images,
        "generated": lineage.generated,
    }


def _divided(split: SplitRecord, manifest: RecordsManifest) -> dict[str, Any]:
    return {
        "recipe": split.recipe,
        "sha256": split.sha256,
        "found": {name: manifest.splits[name].found for name in SPLITS},
        "malignant": {name: manifest.splits[name].label_counts["1"] for name in SPLITS},
        "class_weight": manifest.class_weight["1"],
        "groups": split.groups.unit,
    }


def _tested(metrics: Metrics, lineage: Lineage, openings: int | None) -> dict[str, Any]:
    return {
        "n": metrics.n,
        "malignant": metrics.malignant,
        "groups": metrics.groups,
        "lesions": metrics.lesions if lineage.groups.known else None,
        "malignant_lesions": metrics.lesion_level.malignant,
        "openings": openings,
        "found": {"lesions": metrics.lesion_level.confusion.tp, "images": metrics.confusion.tp},
        "refused": metrics.refused.images if metrics.refused is not None else None,
        "roc_auc": plain(metrics.roc_auc),
        "average_precision": plain(metrics.average_precision),
    }


def _decided(metrics: Metrics, policy: DecisionPolicy) -> dict[str, Any]:
    return {
        "policy": policy.operating_point["policy"],
        "target_sensitivity": policy.operating_point.get("target_sensitivity"),
        "policy_id": policy.policy_id,
        "calibrator": policy.calibrator.name,
        "threshold": metrics.threshold.probability,
        "sensitivity": plain(metrics.sensitivity),
        "specificity": plain(metrics.specificity),
        "predicted_positive_rate": plain(metrics.predicted_positive_rate),
        "prevalence": metrics.prevalence,
    }


def summary_lines(summary: Mapping[str, Any]) -> list[str]:
    """The summary as a table of at most 78 columns, then what speaks against trusting it."""
    images, split, test, decision = (summary[key] for key in ("images", "split", "test", "decision"))
    target = decision["target_sensitivity"]
    rule = decision["policy"] + (f", target sensitivity {target:.2f}" if target is not None else "")
    size = "x".join(str(side) for side in summary["model"]["image_size"])
    rate = percent_text(decision["predicted_positive_rate"]["value"])
    rows = [
        ("images", _images(images)),
        ("split", f"{split['recipe']}, sha256 {split['sha256'][:16]}"),
        ("  train, val, test", " / ".join(str(split["found"][name]) for name in SPLITS)),
        ("  malignant", " / ".join(str(split["malignant"][name]) for name in SPLITS)),
        ("  class weight", f"{split['class_weight']:.4f}"),
        ("model", f"{summary['model']['architecture']} at {size}{_members(summary['model'])}"),
        ("test", f"{_size(test)}, {_opened(test['openings'])}"),
        ("  malignant found", _found(test)),
        ("  not dermoscopic", _refused(test["refused"])),
        ("  ROC-AUC", estimate_text(test["roc_auc"])),
        ("  average precision", estimate_text(test["average_precision"])),
        ("decision rule", f"{rule}, chosen on validation"),
        ("  threshold", f"{decision['threshold']:.4f}"),
        ("  sensitivity", estimate_text(decision["sensitivity"])),
        ("  specificity", estimate_text(decision["specificity"])),
        ("  prevalence", f"{percent_text(decision['prevalence'])}, predicted positive rate {rate}"),
        ("calibration slope", f"{estimate_text(summary['calibration_slope'])}, calibrator {decision['calibrator']}"),
    ]
    return [
        "",
        *(f"{name:<20}{text}" for name, text in rows),
        f"(in brackets: 95 % intervals that resample {split['groups']})",
        "",
        *_warnings(summary["before_you_trust_this"]),
    ]


def _refused(images: int | None) -> str:
    if images is None:
        return "not checked"
    return f"{images} refused" + (", counted with those predicted malignant" if images else "")


def _members(model: Mapping[str, Any]) -> str:
    return f", mean of {model['members']} members" if model.get("members") else ""


def _images(images: Mapping[str, int]) -> str:
    said = f"{images['rows']} in the table, {images['usable']} usable"
    counted = (("dropped", images["dropped"]), ("unusable", images["lost"]), ("generated", images["generated"]))
    return ", ".join([said, *(f"{n} {name}" for name, n in counted if n)])


def _size(test: Mapping[str, Any]) -> str:
    known = test["lesions"] is not None
    return f"{test['n']} images" + (f" of {test['lesions']} lesions" if known else ", number of lesions unknown")


def _opened(times: int | None) -> str:
    return "no ledger kept" if times is None else f"opened {times_text(times)}"


def _found(test: Mapping[str, Any]) -> str:
    found = test["found"]
    if test["lesions"] is None:  # every image counts as a lesion of its own
        return f"{found['images']} of {test['malignant']} images"
    return (
        f"{found['lesions']} of {test['malignant_lesions']} lesions (images averaged), {found['images']} of "
        f"{test['malignant']} images"
    )


def _warnings(lines: Sequence[Mapping[str, str]]) -> list[str]:
    """The red and amber lines, wrapped; nothing where all are green."""
    names: tuple[Level, ...] = ("red", "amber")
    loud = [(level, line) for level in names for line in lines if line["level"] == level]
    if not loud:
        return []
    out = ["Before you trust this (green lines are in the report only):"]
    for level, line in loud:
        head = f"  {LEVELS[level]:<9}"
        text = f"{line['question']} {line['answer']}"
        out += textwrap.wrap(text, 78, initial_indent=head, subsequent_indent=" " * len(head))
    return [*out, ""]
