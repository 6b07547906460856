"""TRIPOD+AI 2024 and CLAIM 2024, filled in as far as the artifacts give the answers; the rest is the author's.

Item numbers are those of Collins 2024 (doi:10.1136/bmj-2023-078378, 27 items) and Tejani 2024
(doi:10.1148/ryai.240300, 44 items), in our own words. TRIPOD+AI's numbers were compared with a public copy of the whole
list; of CLAIM only the list of 2020 was available, whose numbers differ from item 11 on: compare them with the
publication before a manuscript is submitted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.common.artifacts.lineage import Counts, Lineage, SplitName, total
from components.common.artifacts.metrics import Metrics
from components.common.artifacts.presentation import named, reason_words, value_words
from components.common.artifacts.slices import skin_types_known
from components.common.runtime.words import counted

AUTHOR = "author must state"
_PARTS: Mapping[SplitName, str] = {"train": "training", "val": "validation", "test": "test"}
_BALANCE = {
    "class_weight": "class weights in the loss; calibration subtracts the offset they cause",
    "sample_weight": "sample weights in the loss; calibration subtracts the offset they cause",
    "none": "none: the loss is not weighted",
}


@dataclass(frozen=True)
class Item:
    """One line of the checklist.

    Attributes:
        tripod: item of TRIPOD+AI 2024; empty where it has none.
        claim: item of CLAIM 2024; empty where it has none.
        topic: what has to be reported.
        answer: what the artifacts give, or `author must state`.
    """

    tripod: str
    claim: str
    topic: str
    answer: str = AUTHOR

    @property
    def source(self) -> str:
        """Where the line comes from, for people."""
        named = (("TRIPOD+AI", self.tripod), ("CLAIM", self.claim))
        return ", ".join(f"{name} {item}" for name, item in named if item)

    @property
    def open(self) -> bool:
        """Whether the author has to answer."""
        return self.answer.endswith(AUTHOR)


def checklist(
    metrics: Metrics, lineage: Lineage | None, context: Mapping[str, Any], *, table1: bool = False
) -> list[Item]:
    """The items in the order of a manuscript; `table1`: whether the report has a table of characteristics."""
    return [
        *_introduction(),
        *_data(metrics, lineage, context),
        *_model(metrics, context),
        *_evaluation(metrics, lineage),
        *_openness(context),
        *_results(metrics, lineage, table1),
    ]


def _introduction() -> list[Item]:
    return [
        Item("1", "1", "Title: what is predicted, in whom, by which kind of model"),
        Item("2", "2", "Structured abstract"),
        Item("3a", "3", "Clinical background, existing models"),
        Item("3b", "41", "Intended patients, users and place in care"),
        Item("3c", "", "Known health inequalities"),
        Item("4", "4", "Objectives"),
        Item("", "5", "Prospective or retrospective"),
        Item("", "6", "Goal of the study"),
    ]


def _data(metrics: Metrics, lineage: Lineage | None, context: Mapping[str, Any]) -> list[Item]:
    split = context.get("data", {}).get("split", {})
    model = context.get("training", {}).get("model") or {}
    return [
        Item("5a", "7", "Sources of the data", _sources(metrics)),
        Item("5b", "", "Dates of the data"),
        Item("6a", "", "Setting, number and place of centres"),
        Item("6b", "8", "Inclusion and exclusion", _eligibility(lineage)),
        Item("6c", "", "Treatments received"),
        Item("7", "9", "Data preparation", _preparation(model)),
        Item("", "10", "Selection of data subsets", _subsets(lineage)),
        Item("", "11", "De-identification"),
        Item("11", "12", "Missing data", _missing(lineage)),
        Item("", "13", "Image acquisition"),
        Item("8a", "14", "Reference standard", _reference(metrics)),
        Item("", "15", "Why this reference standard"),
        Item("8b", "16", "Who set it, and with what training"),
        Item("8c", "17", "How test images were labelled, and whether blinded"),
        Item("", "18", "Agreement between labellers"),
        Item("9a, 9b, 12b", "", "Predictors and how they are handled", "pixels of the image alone; no metadata"),
        Item("9c", "", "Predictors that need judgement", "none"),
        Item("10", "21", "Sample size, and how it was determined", f"{_size(metrics)}; how: {AUTHOR}"),
        Item("12a", "19", "Assignment to partitions", _partition(split)),
        Item("", "20", "Level at which partitions are disjoint", _level(lineage)),
    ]


def _model(metrics: Metrics, context: Mapping[str, Any]) -> list[Item]:
    training = context.get("training", {})
    model, config = training.get("model") or {}, training.get("training_config") or {}
    members = model.get("members")
    ensemble = AUTHOR if not model else f"mean logit of {members} members" if members else "none: a single model"
    return [
        Item("12c", "22, 25", "Model and training", _architecture(model, config)),
        Item("", "23", "Software and device", _environment(training.get("environment") or {})),
        Item("", "24", "Initial weights", _weights(config)),
        Item("", "26", "Choice of the final model", "epoch with the highest validation average precision"),
        Item("", "27", "Ensembling", ensemble),
        Item("13", "", "Class imbalance", _imbalance(config)),
        Item("15", "", "Output, and how the threshold was chosen", _threshold(metrics)),
        Item("12f, 24", "", "Model updating", "none"),
    ]


def _evaluation(metrics: Metrics, lineage: Lineage | None) -> list[Item]:
    by_source = any(row.slice == "source" for row in metrics.slices)
    return [
        Item("12d, 23b", "", "Differences between centres", "slices by acquisition source" if by_source else AUTHOR),
        Item("12e", "28", "Performance measures", "AP, ROC-AUC, rates, calibration, net benefit"),
        Item("12g", "32", "How predictions were made", "the exported bundle on the original files of the test split"),
        Item("", "29", "Significance and uncertainty", _uncertainty(metrics)),
        Item("", "30", "Robustness", f"slices and shortcut controls of this report; {AUTHOR}"),
        Item("14", "", "Fairness", _subgroups(metrics)),
        Item("16, 20c", "", "Training against evaluation data", _divided(lineage)),
        Item("", "31", "Explainability"),
        Item("", "33", "External testing", "none: internal validation only"),
    ]


def _openness(context: Mapping[str, Any]) -> list[Item]:
    git = (context.get("training", {}).get("environment") or {}).get("git") or {}
    code = f"commit {git['commit']} of this software; {AUTHOR}" if git.get("commit") else AUTHOR
    return [
        Item("17", "", "Ethical approval"),
        Item("18a", "44", "Funding"),
        Item("18b", "", "Conflicts of interest"),
        Item("18c", "42", "Protocol"),
        Item("18d", "34", "Registration"),
        Item("18e", "43", "Availability of the data"),
        Item("18f", "", "Availability of the code", code),
        Item("19", "", "Patient and public involvement"),
    ]


def _results(metrics: Metrics, lineage: Lineage | None, table1: bool) -> list[Item]:
    return [
        Item("20a", "35", "Flow of images", _flow(lineage)),
        Item("20b", "36", "Characteristics by partition", "Table 1 of this report" if table1 else AUTHOR),
        Item("21", "", "Images, and malignant images, in each analysis", _parts(metrics, lineage)),
        Item("22", "", "The whole model", f"the bundle with policy {metrics.policy_id}"),
        Item("23a", "37, 38", "Performance with intervals", "this report"),
        Item("", "39", "Analysis of failures", f"most confident errors are shown in this report; {AUTHOR}"),
        Item("25", "", "Interpretation"),
        Item("26", "40", "Limitations", f"one data set; {_skin(metrics)}see the shortcut controls; {AUTHOR}"),
        Item("27a", "", "Input of poor quality", "unreadable files are refused with a status, not classified"),
        Item("27b, 27c", "", "User interaction, next steps"),
    ]


def _imbalance(config: Mapping[str, Any]) -> str:
    balance = config.get("class_balance")
    return AUTHOR if balance is None else _BALANCE.get(balance, str(balance))


def _divided(lineage: Lineage | None) -> str:
    if lineage is None:
        return AUTHOR
    return f"one data set, divided by {'groups of images' if lineage.groups.known else 'images'}"


def _sources(metrics: Metrics) -> str:
    found = [row.value for row in metrics.slices if row.slice == "source"]
    return f"acquisition sources in the test set: {', '.join(found)}; {AUTHOR}" if found else AUTHOR


def _eligibility(lineage: Lineage | None) -> str:
    if lineage is None:
        return AUTHOR
    dropped = [f"{reason_words(left.reason)}: {left.counts.images:,}" for left in lineage.dropped]
    return f"rows dropped: {'; '.join(dropped) if dropped else 'none'}; {AUTHOR}"


def _subsets(lineage: Lineage | None) -> str:
    if lineage is None:
        return AUTHOR
    n = lineage.undivided.images
    return f"{n:,} labelled images are in no split" if n else "none: every labelled image is in a split"


def _missing(lineage: Lineage | None) -> str:
    if lineage is None:
        return AUTHOR
    return f"{lineage.unusable.images:,} image files unusable; unknown metadata is a slice of its own"


def _reference(metrics: Metrics) -> str:
    rows = [row for row in metrics.slices if row.slice == "dx_type"]
    return (
        "; ".join(f"{value_words('dx_type', row.value)}: {counted(row.n, 'image')}" for row in rows) if rows else AUTHOR
    )


def _preparation(model: Mapping[str, Any]) -> str:
    if not model.get("image_size"):
        return AUTHOR
    return f"decoded, oriented and resized to {'x'.join(str(v) for v in model['image_size'])} pixels"


def _size(metrics: Metrics) -> str:
    return f"{metrics.n} test images, {metrics.malignant} malignant, of {metrics.lesions} lesions"


def _partition(split: Mapping[str, Any]) -> str:
    if not split:
        return AUTHOR
    return f"recipe {split.get('recipe')}, seed {split.get('seed')}, sha256 {str(split.get('sha256'))[:12]}"


def _level(lineage: Lineage | None) -> str:
    if lineage is None:
        return AUTHOR
    if not lineage.groups.known:
        return f"image; the table names neither lesions nor patients, so both may be in several partitions; {AUTHOR}"
    return f"groups of images joined by {', '.join(lineage.groups.joined_by)}"


def _architecture(model: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    if not model.get("architecture"):
        return AUTHOR
    count = model.get("parameters")
    size = f", {count:,} parameters" if isinstance(count, int) else ""
    return f"{model['architecture']}{size}" + (f", at most {config['epochs']} epochs" if config.get("epochs") else "")


def _weights(config: Mapping[str, Any]) -> str:
    given = config.get("weights")
    return AUTHOR if not given else "random" if given == "none" else str(given)


def _environment(environment: Mapping[str, Any]) -> str:
    packages = environment.get("packages") or {}
    device = environment.get("device") or {}
    shown = [f"Python {environment['python']}"] if environment.get("python") else []
    shown += [f"{name} {packages[name]}" for name in ("tensorflow", "keras", "lesionflow") if packages.get(name)]
    shown += [f"device {device['name']}"] if device.get("name") else []
    return "; ".join(shown) if shown else AUTHOR


def _threshold(metrics: Metrics) -> str:
    point = metrics.threshold.operating_point
    return f"calibrated probability; threshold by {point.policy} on validation; guarantee: {point.guarantee}"


def _uncertainty(metrics: Metrics) -> str:
    return f"{metrics.method.resamples} resamples of lesion groups, 95 % expanded percentile intervals"


def _subgroups(metrics: Metrics) -> str:
    names = list(dict.fromkeys(row.slice for row in metrics.slices))
    if not names:
        return AUTHOR
    measured = f"measured by {', '.join(map(named, names))}"
    return measured if skin_types_known(metrics.slices) else f"{measured}; skin tone is not in the data"


def _skin(metrics: Metrics) -> str:
    return "" if skin_types_known(metrics.slices) else "skin tone is not in it; "


def _flow(lineage: Lineage | None) -> str:
    if lineage is None:
        return AUTHOR
    return (
        f"{lineage.table.images:,} rows, {total(lineage.dropped).images:,} dropped, {lineage.unusable.images:,} "
        f"unusable, {lineage.usable.images:,} used; {lineage.read.images:,} of test evaluated"
    )


def _parts(metrics: Metrics, lineage: Lineage | None) -> str:
    if lineage is None:
        return f"test: {_size(metrics)}"
    return "; ".join(f"{_PARTS[name]}: {_classes(part.usable)}" for name, part in lineage.in_order())


def _classes(counts: Counts) -> str:
    return f"{counts.images:,} images, {counts.malignant:,} malignant"
