"""TRIPOD+AI 2024 and CLAIM 2024, filled in as far as the artifacts know; the rest is the author's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.common.artifacts.metrics import Metrics

AUTHOR = "author must state"


@dataclass(frozen=True)
class Item:
    """One line of the checklist.

    Attributes:
        source: item numbers, TRIPOD+AI and CLAIM.
        topic: what has to be reported.
        answer: what the artifacts say, or `author must state`.
    """

    source: str
    topic: str
    answer: str

    @property
    def open(self) -> bool:
        """Whether the author has to answer."""
        return self.answer == AUTHOR


def checklist(metrics: Metrics, context: Mapping[str, Any]) -> list[Item]:
    """The items in the order of a manuscript."""
    data, training = context.get("data", {}), context.get("training", {})
    split, model = data.get("split", {}), training.get("model") or {}
    config, environment = training.get("training_config") or {}, training.get("environment") or {}
    return [
        Item("TRIPOD 3, CLAIM 2", "Clinical background and intended use", AUTHOR),
        Item("TRIPOD 5a, CLAIM 7", "Source of the data, dates, eligibility", AUTHOR),
        Item("TRIPOD 6, CLAIM 9", "Setting and devices", _sources(metrics)),
        Item("TRIPOD 8, CLAIM 14", "Reference standard", _reference(metrics)),
        Item("TRIPOD 9, CLAIM 12", "Predictors and preprocessing", _preprocessing(model)),
        Item("TRIPOD 10, CLAIM 19", "Sample size", _size(metrics)),
        Item("TRIPOD 11, CLAIM 13", "Missing data", _missing(data)),
        Item("TRIPOD 12a, CLAIM 20", "Partition, and at which level it is disjoint", _partition(split)),
        Item("TRIPOD 12c, CLAIM 22", "Model and training", _model(model, config)),
        Item("CLAIM 23", "Software, device, code version", _environment(environment)),
        Item("TRIPOD 12d", "Class imbalance", "class-weight offset undone by calibration"),
        Item("TRIPOD 12e, CLAIM 28", "Performance measures", "AP, ROC-AUC, rates, calibration, net benefit"),
        Item("TRIPOD 12f, CLAIM 29", "Uncertainty", _uncertainty(metrics)),
        Item("TRIPOD 12g", "Threshold and how it was chosen", _threshold(metrics)),
        Item("TRIPOD 14, CLAIM 30", "Fairness, subgroups", _subgroups(metrics)),
        Item("TRIPOD 14", "Skin tone", "not in the data: performance by skin tone is unknown"),
        Item("CLAIM 31", "Explainability", AUTHOR),
        Item("TRIPOD 18a", "Funding and conflicts of interest", AUTHOR),
        Item("TRIPOD 18c, CLAIM 4", "Protocol and registration", AUTHOR),
        Item("TRIPOD 18e, CLAIM 41", "Availability of data and code", AUTHOR),
        Item("TRIPOD 20, CLAIM 33", "Participants by split", _participants(data, metrics)),
        Item("TRIPOD 23, CLAIM 37", "Performance with intervals", "this report"),
        Item("TRIPOD 25, CLAIM 39", "Limitations", "one data set, one split; see the shortcut controls; " + AUTHOR),
        Item("TRIPOD 26", "Patient and public involvement", AUTHOR),
    ]


def _uncertainty(metrics: Metrics) -> str:
    return f"{metrics.method.resamples} resamples of lesion groups, 95 % expanded percentile intervals"


def _threshold(metrics: Metrics) -> str:
    point = metrics.threshold.operating_point
    return f"on validation, policy {point.policy}; guarantee: {point.guarantee}"


def _sources(metrics: Metrics) -> str:
    found = [row.value for row in metrics.slices if row.slice == "source"]
    return f"acquisition sources in the test set: {', '.join(found)}" if found else AUTHOR


def _reference(metrics: Metrics) -> str:
    rows = [row for row in metrics.slices if row.slice == "dx_type"]
    return "; ".join(f"{row.value}: {row.n} images" for row in rows) if rows else AUTHOR


def _preprocessing(model: Mapping[str, Any]) -> str:
    if not model.get("image_size"):
        return AUTHOR
    return f"the image alone, at {'x'.join(str(v) for v in model['image_size'])} pixels; no metadata"


def _size(metrics: Metrics) -> str:
    return f"{metrics.n} test images, {metrics.malignant} malignant, {metrics.lesions} lesions"


def _missing(data: Mapping[str, Any]) -> str:
    if not data:
        return AUTHOR
    lost = sum(part.get("lost", 0) for part in data.get("splits", {}).values())
    in_test = data.get("test_lost_count", 0)
    return f"{lost} images lost in all, {in_test} of them in test; unknown metadata is a slice of its own"


def _partition(split: Mapping[str, Any]) -> str:
    if not split:
        return AUTHOR
    digest = str(split.get("sha256"))[:12]
    return f"recipe {split.get('recipe')}, seed {split.get('seed')}, sha256 {digest}; disjoint by lesion group"


def _model(model: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    if not model.get("architecture"):
        return AUTHOR
    count = model.get("parameters")
    size = f", {count:,} parameters" if isinstance(count, int) else ""
    return f"{model['architecture']}{size}" + (f", {config['epochs']} epochs" if config.get("epochs") else "")


def _environment(environment: Mapping[str, Any]) -> str:
    packages, git = environment.get("packages") or {}, environment.get("git") or {}
    device = environment.get("device") or {}
    shown = [f"Python {environment['python']}"] if environment.get("python") else []
    shown += [f"{name} {packages[name]}" for name in ("tensorflow", "keras", "lesionflow") if packages.get(name)]
    shown += [f"device {device['name']}"] if device.get("name") else []
    shown += [f"commit {git['commit']}"] if git.get("commit") else []
    return "; ".join(shown) if shown else AUTHOR


def _subgroups(metrics: Metrics) -> str:
    names = list(dict.fromkeys(row.slice for row in metrics.slices))
    return "by " + ", ".join(names) if names else AUTHOR


def _participants(data: Mapping[str, Any], metrics: Metrics) -> str:
    parts = [f"{name}: {part.get('found')} images" for name, part in data.get("splits", {}).items()]
    return "; ".join(parts) if parts else f"test: {metrics.n} images of {metrics.lesions} lesions"
