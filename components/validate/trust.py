"""Before you trust this, at another clinic: the same questions every time, answered from its own figures."""

from __future__ import annotations

from collections.abc import Mapping

from components.common.artifacts.estimate import Estimate
from components.common.artifacts.lineage import Lineage, total
from components.common.artifacts.metrics import Metrics
from components.common.artifacts.presentation import estimate_text, one_line, percent_text, reason_words
from components.common.artifacts.trust import Key, Level, Line, answered
from components.common.artifacts.validation import Answer, FigureKey, Overlap, Validation
from components.evaluate.trust import calibration_line, size_line, slices_line

_LEVELS: Mapping[Answer, Level] = {
    "holds": "green",
    "does not hold": "red",
    "too few": "amber",
    "nothing promised": "amber",
}
_MUCH_REFUSED, _MANY = 0.05, 0.20  # of the labelled images; of the rows
_REPRESENTED, _EFFECTIVE = 0.8, 100  # of the internal mix; images after weighting
_UNKNOWN = "not known: the bundle does not carry its internal test"


def questions(metrics: Metrics, record: Validation, lineage: Lineage) -> list[Line]:
    """The lines of the block, always in this order."""
    lines = [
        answered("promised_sensitivity", _LEVELS[record.verdict.answer], record.verdict.sentence, "compared"),
        size_line(metrics, f"lesions of {metrics.lesion_level.n} here ({metrics.malignant} malignant images)"),
        _overlap(record.overlap),
        _as_good(record, "roc_auc", "ranking_here", "ROC-AUC"),
        _as_good(record, "specificity", "specificity_here", "specificity"),
        calibration_line(metrics),
        _labels(record),
        _mix(record),
        _refused(record),
        _in_no_figure(record, lineage),
        slices_line(metrics),
    ]
    return [line.model_copy(update={"answer": one_line(line.answer)}) for line in lines]


def _overlap(overlap: Overlap) -> Line:
    key: Key = "seen_before"
    if not overlap.known:
        answer = "not known: the bundle carries no fingerprints of what it was trained on; export it again"
        return answered(key, "red", answer, "data")
    only = "" if overlap.pictures else "; by equal bytes only, re-encoded copies are not recognised"
    if not overlap.seen:
        level: Level = "green" if overlap.pictures else "amber"
        answer = f"no: none of {overlap.images:,} images has the bytes or is a near-duplicate of one it has seen{only}"
        return answered(key, level, answer, "data")
    answer = (
        f"{overlap.seen:,} of {overlap.images:,} images ({overlap.bytes:,} with equal bytes, "
        f"{overlap.near_duplicates:,} near-duplicates); left out, with {overlap.same_lesion:,} further images of their "
        f"lesions{only}"
    )
    return answered(key, "amber", answer, "data")


def _as_good(record: Validation, name: FigureKey, key: Key, words: str) -> Line:
    one = next(figure for figure in record.figures if figure.name == name)
    if one.there is None or one.difference is None:
        answer = f"{_UNKNOWN}; here {words} {estimate_text(one.here)}"
        return answered(key, "amber", answer, "compared")
    answer = (
        f"{words} {estimate_text(one.here)} here, {estimate_text(one.there)} there, difference "
        f"{estimate_text(one.difference, '{:+.3f}')}"
    )
    return answered(key, _level(one.difference), answer, "compared")


def _level(difference: Estimate) -> Level:
    if difference.upper is not None and difference.upper < 0:
        return "red"
    return "green" if difference.lower is not None and difference.lower > -0.05 else "amber"


def _labels(record: Validation) -> Line:
    key: Key = "label_meaning"
    known = record.labelling
    new = ", ".join(f"{name} {n:,}" for name, n in list(known.unknown.items())[:5])
    shown = f"; diagnoses it was never trained on: {new}" if new else ""
    if known.unlike:
        return answered(key, "red", f"no: {'; '.join(known.unlike)}{shown}", "data")
    level: Level = "amber" if new else "green"
    answer = f"yes: no diagnosis is counted differently (policy {known.policy}){shown}"
    return answered(key, level, answer, "data")


def _mix(record: Validation) -> Line:
    key: Key = "diagnosis_mix"
    mix = record.mix
    if mix is None:
        answer = "not known: one side has no diagnoses, so a difference may be due to case mix alone"
        return answered(key, "amber", answer, "compared")
    enough = mix.represented >= _REPRESENTED and mix.effective >= _EFFECTIVE
    answer = (
        f"{percent_text(mix.represented, 0)} of the internal test has a diagnosis that occurs here; figures "
        f"standardised to its mix are worth {mix.effective:,.0f} of {record.here.images:,} images"
    )
    return answered(key, "green" if enough else "amber", answer, "compared")


def _in_no_figure(record: Validation, lineage: Lineage) -> Line:
    """Rows that enter no figure, besides those the bundle has seen or refused."""
    key: Key = "left_out"
    unusable, unlabelled = total(lineage.parts["test"].unusable), sum(record.unlabelled.values())
    rows = lineage.table.images
    if not unusable.images and not unlabelled:
        return answered(key, "green", "no: nothing is lost or unlabelled", "data")
    said = []
    if unusable.images:
        why = ", ".join(
            f"{reason_words(left.reason)}: {left.counts.images:,}" for left in lineage.parts["test"].unusable
        )
        said.append(
            f"{unusable.images:,} of {rows:,} images cannot be used ({unusable.malignant:,} malignant, "
            f"{unusable.benign:,} benign; {why})"
        )
    if unlabelled:
        why = ", ".join(f"{reason_words(reason)}: {n:,}" for reason, n in record.unlabelled.items())
        said.append(f"{unlabelled:,} of {rows:,} images have no usable label and are scored separately ({why})")
    many = unusable.images + unlabelled > _MANY * rows
    return answered(key, "red" if many else "amber", "; ".join(said), "data")


def _refused(record: Validation) -> Line:
    key: Key = "refused_images"
    weak = "" if record.refusal_reliable else f". Pictures that are not dermoscopy: {record.refuses}"
    if not record.refused:
        answer = f"no: none of the labelled images{weak}"
        return answered(key, "amber" if weak else "green", answer, "data")
    why = ", ".join(f"{reason_words(reason)}: {n:,}" for reason, n in record.refused.items())
    level: Level = "red" if record.refused_share > _MUCH_REFUSED else "amber"
    answer = f"{percent_text(record.refused_share)} of the labelled images ({why}){weak}"
    return answered(key, level, answer, "data")
