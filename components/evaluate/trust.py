"""Before you trust this: the same questions for every evaluation, answered from its own figures."""

from __future__ import annotations

from collections.abc import Sequence

from components.common.artifacts.estimate import Estimate
from components.common.artifacts.index import Verdict
from components.common.artifacts.ledger import Opening, bundles_of, times_text
from components.common.artifacts.lineage import Counts, Left, Lineage, total
from components.common.artifacts.metrics import Metrics
from components.common.artifacts.presentation import (
    estimate_text,
    named,
    one_line,
    reason_words,
    value_words,
)
from components.common.artifacts.slices import UNKNOWN, Failure, failures
from components.common.artifacts.trust import Key, Level, Line, answered
from components.evaluate.subgroups import MINIMUM

ENOUGH, FEW = 100, 30  # malignant lesions; Collins 2016 (doi:10.1002/sim.6787) asks for 100 or more
_MANY_CROSSING = 0.01  # of the test images
_MANY_LOST, _UNEVEN = 0.05, 0.01
_MANY_BUNDLES = 3  # on one test set: with more, the best of them is chosen on it
_WRONG_SLOPE = 2.0  # and its inverse: an interval that holds either shows nothing
_TELLING = 0.70  # ROC-AUC that the table alone may reach before it is worth a warning
_NO_RECORD = "not recorded: this report was made from saved scores alone"
_ALONE = {
    "metadata": "age, sex and site",
    "dx_type": "how the diagnosis was confirmed",
    "source": "the acquisition source",
}


def questions(
    metrics: Metrics, lineage: Lineage | None, same_split: bool | None, openings: Sequence[Opening] = ()
) -> list[Line]:
    """The lines of the block, always in this order.

    Args:
        metrics: every figure.
        lineage: where the rows of the table went; None if not at hand.
        same_split: whether the bundle was made with the split it is evaluated on; None if not recorded.
        openings: every time the test set was opened, this one last; empty where no ledger is kept.
    """
    lines = [
        _target(metrics),
        _size(metrics, lineage),
        _groups(lineage, same_split),
        _lost(lineage),
        _near_duplicates(lineage),
        calibration_line(metrics),
        slices_line(metrics),
        _shortcuts(metrics),
        _opened(openings),
        answered(
            "external_data",
            "amber",
            "no: internal validation only, on images from the sources it was trained on",
            "data",
        ),
    ]
    # values of the table are in it
    return [line.model_copy(update={"answer": one_line(line.answer)}) for line in lines]


def sentence(failure: Failure) -> str:
    """`acquisition source vidir_molemax: specificity 0.00, 0 of 14 benign images`."""
    kind = "malignant" if failure.figure == "sensitivity" else "benign"
    few = "" if failure.sure else ", few images"
    value = value_words(failure.row.slice, failure.row.value)
    return (
        f"{named(failure.row.slice)} {value}: {failure.figure} {failure.found:.2f}, {failure.right} of {failure.of} "
        f"{kind} images{few}"
    )


def _target(metrics: Metrics) -> Line:
    key: Key = "target_sensitivity"
    target, found = metrics.threshold.operating_point.target_sensitivity, metrics.sensitivity
    measured = f"sensitivity {estimate_text(found)}"
    if target is None:
        answer = f"no target was set (rule {metrics.threshold.operating_point.policy}); {measured}"
        return answered(key, "amber", answer, "decision")
    level: Level = "amber"
    if found.value is None or found.value < target:
        level, words = "red", "no"
    elif found.lower is not None and found.lower >= target:
        level, words = "green", "yes"
    else:
        words = "yes, but not with certainty"
    return answered(key, level, f"{words}: target {target:.2f}, {measured}", "decision")


def _size(metrics: Metrics, lineage: Lineage | None) -> Line:
    if lineage is not None and not lineage.groups.known:
        return size_line(metrics, f"images of {metrics.n} in test, number of lesions unknown")
    lesions = metrics.lesion_level.n
    return size_line(metrics, f"lesions of {lesions} in test ({metrics.malignant} malignant images)")


def size_line(metrics: Metrics, unit: str) -> Line:
    """How many malignant lesions there are; `unit` ends the phrase `36 malignant ...`."""
    n = metrics.lesion_level.malignant
    level: Level = "green" if n >= ENOUGH else "amber" if n >= FEW else "red"
    words = {"amber": f"; {ENOUGH} or more are recommended", "red": f"; fewer than {FEW} are too few to conclude from"}
    return answered("malignant_lesions", level, f"{n} malignant {unit}{words.get(level, '')}", "decision")


def _groups(lineage: Lineage | None, same_split: bool | None) -> Line:
    key: Key = "groups_in_one_split"
    if lineage is None:
        return answered(key, "amber", _NO_RECORD, "data")
    if same_split is not True:
        return answered(key, "red" if same_split is None else "amber", _seen(same_split), "data")
    groups = lineage.groups
    if not groups.known:
        answer = (
            "not known: the table names neither lesions nor patients, so images of one lesion may lie in training and "
            "in test"
        )
        return answered(key, "red", answer, "data")
    kept = f"{groups.count:,} groups ({', '.join(groups.joined_by)}), none in two splits"
    if groups.patients_across_splits is None:
        answer = f"lesions: yes, {kept}; patients: not known, the table names none"
        return answered(key, "amber", answer, "data")
    if groups.patients_across_splits:
        answer = f"no: {groups.patients_across_splits:,} patients have images in several splits; {kept}"
        return answered(key, "red", answer, "data")
    return answered(key, "green", f"yes: {kept}; no patient in two", "data")


def _seen(same_split: bool | None) -> str:
    if same_split is None:
        return "not known: the bundle does not record which split it was made with, so it may have seen test images"
    # evaluated only where the bundle's fingerprints could be compared
    return (
        "yes: the bundle was made with another split; by its fingerprints it has seen no image or lesion of this test"
    )


def _lost(lineage: Lineage | None) -> Line:
    key: Key = "lost_images"
    if lineage is None:
        return answered(key, "amber", _NO_RECORD, "data")
    gone = [left for left in _all_left(lineage) if left.reason != Verdict.EXCLUDED_DIAGNOSIS]
    chosen = [left for left in lineage.dropped if left.reason == Verdict.EXCLUDED_DIAGNOSIS]
    lost = total(gone)
    for name, part in lineage.in_order():
        if name != "test" and part.lost_in_records is not None:  # test images are read from their own files
            lost = lost + part.lost_in_records
    if not lost.images and not chosen:
        answer = f"nothing: all {lineage.table.images:,} rows of the table are used"
        return answered(key, "green", answer, "data")
    said = [f"{lost.images:,} of {lineage.table.images:,} rows lost ({_classes(lost)})"]
    said += [f"{reason_words(left.reason)}: {left.counts.images:,}{_diagnoses(left)}" for left in [*gone, *chosen]]
    return answered(key, _loss_level(lost, lineage.table), "; ".join(said), "data")


def _all_left(lineage: Lineage) -> list[Left]:
    unusable = [left for _, part in lineage.in_order() for left in part.unusable]
    merged: dict[str, Left] = {}
    for left in [*lineage.dropped, *unusable, *lineage.unread]:
        before = merged.get(left.reason)
        if before is None:
            merged[left.reason] = left
            continue
        names = [*before.diagnoses, *left.diagnoses]
        both = {name: before.diagnoses.get(name, 0) + left.diagnoses.get(name, 0) for name in names}
        merged[left.reason] = Left(reason=left.reason, counts=before.counts + left.counts, diagnoses=both)
    return list(merged.values())


def _loss_level(lost: Counts, table: Counts) -> Level:
    malignant, benign = lost.malignant / max(table.malignant, 1), lost.benign / max(table.benign, 1)
    unknown = lost.unlabelled / max(table.images, 1)
    if lost.images > _MANY_LOST * table.images or malignant > benign + _UNEVEN or unknown > _UNEVEN:
        return "red"
    return "amber"


def _classes(counts: Counts) -> str:
    said = f"{counts.malignant:,} malignant, {counts.benign:,} benign"
    return f"{said}, {counts.unlabelled:,} without a label" if counts.unlabelled else said


def _diagnoses(left: Left, most: int = 4) -> str:
    ranked = sorted(left.diagnoses.items(), key=lambda pair: (-pair[1], pair[0]))
    named_ = ", ".join(f"{name} {n:,}" for name, n in ranked[:most])
    more = f" and {len(ranked) - most} more" if len(ranked) > most else ""
    return f" ({named_}{more})" if named_ else ""


def _near_duplicates(lineage: Lineage | None) -> Line:
    key: Key = "near_duplicates"
    found = lineage.near_duplicates if lineage is not None else None
    if lineage is None or found is None:
        return answered(key, "amber", "not recorded", "data")
    odd, test = lineage.groups.contradictions, lineage.read.images
    both = f"; {odd:,} pairs have different labels" if odd else ""
    if not found.crossing:
        answer = f"no: {found.pairs:,} pairs found, none across splits{both}"
        return answered(key, "amber" if odd else "green", answer, "data")
    many = found.crossing > _MANY_CROSSING * test
    answer = f"{found.crossing:,} of {found.pairs:,} pairs lie across splits; test has {test:,} images{both}"
    return answered(key, "red" if many else "amber", answer, "data")


def calibration_line(metrics: Metrics) -> Line:
    """Whether the probabilities are right within what chance allows."""
    c = metrics.calibration
    off = c.slope.lower is not None and c.slope.upper is not None and not c.slope.lower <= 1 <= c.slope.upper
    beyond = c.ece > c.ece_null_95
    level: Level = "red" if off and beyond else "amber" if off or beyond else "green"
    words = {"green": "yes, within chance", "amber": "not quite", "red": "no"}[level]
    if level == "green" and not _narrow(c.slope):
        level, words = "amber", "not known, too few images to tell"
    return answered(
        "calibration",
        level,
        f"{words}: slope {estimate_text(c.slope)}, perfect is 1; calibration error {c.ece:.3f}, by chance up to "
        f"{c.ece_null_95:.3f}",
        "calibration",
    )


def _narrow(slope: Estimate) -> bool:
    """Whether the interval excludes slopes that nobody would call right: of few images any is within chance."""
    if slope.lower is None or slope.upper is None:
        return False
    return slope.lower > 1 / _WRONG_SLOPE and slope.upper < _WRONG_SLOPE


def slices_line(metrics: Metrics) -> Line:
    """The groups in which the operating point fails."""
    key: Key = "failing_groups"
    named_ones = [row for row in metrics.slices if row.slice != "images per lesion" and row.value != UNKNOWN]
    if not named_ones:
        answer = "not known: the table has no sex, age, site, diagnosis or source"
        return answered(key, "amber", answer, "slices")
    found = failures(metrics)
    judged = sum(row.sensitivity.status == "ok" for row in named_ones)
    if not found and not judged:
        answer = f"not known: none of {len(named_ones)} groups holds the {MINIMUM} malignant images it takes to tell"
        return answered(key, "amber", answer, "slices")
    if not found:
        target = metrics.threshold.operating_point.target_sensitivity
        floor = "the target sensitivity" if target is not None else "the interval of the overall sensitivity"
        answer = (
            f"none was found: in no group does the whole 95 % interval lie below {floor}, or below "
            f"half of the overall specificity; {judged} of {len(named_ones)} groups hold {MINIMUM} malignant images or "
            "more"
        )
        return answered(key, "green", answer, "slices")
    answer = "; ".join(sentence(one) for one in found[:3])
    more = f"; and {len(found) - 3} more" if len(found) > 3 else ""
    return answered(key, "red" if found[0].sure else "amber", f"yes: {answer}{more}", "slices")


def _shortcuts(metrics: Metrics) -> Line:
    key: Key = "table_alone"
    known = [(one.value, name) for name, one in metrics.shortcuts.alone.items() if one.value is not None]
    if not known:
        answer = "not measured: the table has no age, sex, site, kind of confirmation or source"
        return answered(key, "amber", answer, "shortcuts")
    best, name = max(known)
    model = metrics.shortcuts.model
    level: Level = "green" if best < _TELLING else "amber"
    if model.lower is not None and best >= model.lower:
        level = "red"
    return answered(
        key,
        level,
        f"{estimate_text(metrics.shortcuts.alone[name])} from {_ALONE[name]}; the model has {estimate_text(model)}",
        "shortcuts",
    )


def _opened(openings: Sequence[Opening]) -> Line:
    key: Key = "test_openings"
    if not openings:
        answer = "not known: no ledger was kept, so this bundle may be the best of many that were tried on the test set"
        return answered(key, "amber", answer, "openings")
    bundles = bundles_of(openings)
    if len(bundles) == 1:
        answer = f"{times_text(len(openings))}, by this bundle only"
        return answered(key, "green", answer, "openings")
    shown = ", ".join(bundle[:12] for bundle in bundles[:4]) + (" and others" if len(bundles) > 4 else "")
    many = len(bundles) > _MANY_BUNDLES
    answer = (
        f"{times_text(len(openings))}, by {len(bundles)} bundles ({shown}): the best of several looks better than it is"
    )
    return answered(key, "red" if many else "amber", answer, "openings")
