"""The Markdown summary of an evaluation, short enough for a ticket."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from components.common.artifacts.estimate import HasInterval
from components.common.artifacts.metrics import HEADLINE, Confusion, FigureName, Metrics
from components.common.artifacts.presentation import estimate_text, form_of, heading, markdown_text, percent_text
from components.evaluate.gate import Verdict

ROWS: tuple[FigureName, ...] = (*HEADLINE, "number_needed_to_biopsy")


@dataclass(frozen=True)
class Thousand:
    """What would happen to 1,000 lesions like those tested, in integers that add up.

    Attributes:
        malignant: malignant lesions among them.
        found: malignant, predicted malignant.
        missed: malignant, predicted benign.
        false_positives: benign, predicted malignant.
        cleared: benign, predicted benign.
    """

    malignant: int
    found: int
    missed: int
    false_positives: int
    cleared: int


@dataclass(frozen=True)
class ThousandRanges:
    """How far the counts of a `Thousand` may be off, (lowest, highest), from the intervals of both rates."""

    found: tuple[int, int]
    missed: tuple[int, int]
    false_positives: tuple[int, int]


def per_thousand(counts: Confusion) -> Thousand:
    """Scales the counts of lesions to 1,000."""
    n = counts.tp + counts.fn + counts.fp + counts.tn
    malignant = round(1000 * (counts.tp + counts.fn) / n)
    found = min(malignant, round(1000 * counts.tp / n))
    false_positives = min(1000 - malignant, round(1000 * counts.fp / n))
    return Thousand(malignant, found, malignant - found, false_positives, 1000 - malignant - false_positives)


def per_thousand_ranges(k: Thousand, sensitivity: HasInterval, specificity: HasInterval) -> ThousandRanges:
    """The ranges of `k`; its own count on a side that has no bound."""
    benign = 1000 - k.malignant
    found = _range(sensitivity, k.malignant, k.found)
    cleared = _range(specificity, benign, k.cleared)
    return ThousandRanges(
        found=found,
        missed=(k.malignant - found[1], k.malignant - found[0]),
        false_positives=(benign - cleared[1], benign - cleared[0]),
    )


def _range(rate: HasInterval, of: int, count: int) -> tuple[int, int]:
    low, high = (round(of * end) if end is not None else count for end in (rate.lower, rate.upper))
    return min(low, count), max(high, count)


def summary_markdown(metrics: Metrics, verdicts: Sequence[Verdict]) -> str:
    """summary.md."""
    lesion, point, calibration = metrics.lesion_level, metrics.threshold.operating_point, metrics.calibration
    k = per_thousand(lesion.confusion)
    far = per_thousand_ranges(k, lesion.sensitivity, lesion.specificity)
    lines = [
        "# Evaluation",
        "",
        f"{metrics.n} test images of {metrics.lesions} lesions; {metrics.malignant} images are malignant (prevalence "
        f"{percent_text(metrics.prevalence)}). Policy `{metrics.policy_id}`.",
        "",
        f"Of 1,000 lesions like these, {k.malignant} are malignant: {k.found} are found and {k.missed} missed "
        f"({far.missed[0]} to {far.missed[1]} with 95 % confidence); {k.false_positives} benign ones "
        f"({far.false_positives[0]} to {far.false_positives[1]}) are predicted malignant.",
        "",
        "| | per image | per lesion |",
        "|---|---|---|",
        *(
            f"| {heading(name)} | {estimate_text(metrics.figure(name), form_of(name))} "
            f"| {estimate_text(lesion.figure(name), form_of(name))} |"
            for name in ROWS
        ),
        "",
        f"Classified malignant when the probability is >= {metrics.threshold.probability:.4f} "
        f"({markdown_text(point.policy)}). Guarantee: {markdown_text(point.guarantee)}.",
        f"Calibration slope {estimate_text(calibration.slope)}, expected calibration error {calibration.ece:.3f} (by "
        f"chance up to {calibration.ece_null_95:.3f}). In brackets: 95 % intervals from {metrics.method.resamples} "
        "resamples of lesion groups.",
        "",
    ]
    if metrics.refused is not None:
        lines += [
            f"{metrics.refused.images} of {metrics.n} images were refused as not dermoscopic, "
            f"{metrics.refused.malignant} of them malignant; they go to a person and are counted with those predicted "
            "malignant.",
            "",
        ]
    if verdicts:
        lines += ["## Gate", ""]
        for v in verdicts:
            number = "not computable" if v.received is None else f"{v.received:.4f}"
            lines.append(f"- {'passed' if v.passed else '**missed**'}: `{v.condition}` ({number})")
        lines.append("")
    return "\n".join(lines)
