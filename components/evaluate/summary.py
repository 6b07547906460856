"""The Markdown summary: what a person pastes into a ticket."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from components.evaluate.gate import Verdict

ROWS = (
    ("ROC-AUC", "roc_auc", "{:.3f}"),
    ("Average precision", "average_precision", "{:.3f}"),
    ("Sensitivity", "sensitivity", "{:.3f}"),
    ("Specificity", "specificity", "{:.3f}"),
    ("Called malignant", "predicted_positive_rate", "{:.3f}"),
    ("PPV", "ppv", "{:.3f}"),
    ("NPV", "npv", "{:.4f}"),
    ("Number needed to biopsy", "number_needed_to_biopsy", "{:.2f}"),
)


def spell(value: Mapping[str, Any] | None, form: str = "{:.3f}") -> str:
    """`0.876 (0.851 to 0.899)`; a dash where there is no value."""
    if value is None or value.get("value") is None:
        return "–"  # noqa: RUF001  a dash a person reads
    text = form.format(value["value"])
    if value.get("lower") is None:
        return text
    return f"{text} ({form.format(value['lower'])} to {form.format(value['upper'])})"


def per_thousand(metrics: Mapping[str, Any]) -> dict[str, int]:
    """Of 1,000 such lesions: cancers, found, missed, false alarms, left in peace; whole numbers that add up."""
    c, n = metrics["confusion"], metrics["n"]
    cancers = round(1000 * (c["tp"] + c["fn"]) / n)
    found = min(cancers, round(1000 * c["tp"] / n))
    alarms = min(1000 - cancers, round(1000 * c["fp"] / n))
    return {
        "cancers": cancers,
        "found": found,
        "missed": cancers - found,
        "alarms": alarms,
        "cleared": 1000 - cancers - alarms,
    }


def per_thousand_ranges(metrics: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """How far found, missed and false alarms of the 1,000 may be off, from the intervals of both rates."""
    k = per_thousand(metrics)
    found = _range(metrics["sensitivity"], k["cancers"], k["found"])
    cleared = _range(metrics["specificity"], 1000 - k["cancers"], k["cleared"])
    return {
        "found": found,
        "missed": (k["cancers"] - found[1], k["cancers"] - found[0]),
        "alarms": (1000 - k["cancers"] - cleared[1], 1000 - k["cancers"] - cleared[0]),
    }


def _range(rate: Mapping[str, Any], of: int, count: int) -> tuple[int, int]:
    low, high = (round(of * rate[end]) if rate.get(end) is not None else count for end in ("lower", "upper"))
    return min(low, count), max(high, count)


def summary_markdown(metrics: Mapping[str, Any], verdicts: Sequence[Verdict]) -> str:
    """summary.md."""
    lesion, slope = metrics["lesion_level"], metrics["calibration"]["slope"]
    k, far = per_thousand(lesion), per_thousand_ranges(lesion)
    point = metrics["threshold"]["operating_point"]
    lines = [
        "# Evaluation",
        "",
        f"{metrics['n']} test images of {metrics['lesions']} lesions, {metrics['malignant']} images malignant "
        f"({100 * metrics['prevalence']:.1f} %). Policy `{metrics['policy_id']}`.",
        "",
        f"Of 1,000 lesions like these, {k['cancers']} are cancers: {k['found']} are found and {k['missed']} missed "
        f"({far['missed'][0]} to {far['missed'][1]} with 95 % confidence); {k['alarms']} benign ones "
        f"({far['alarms'][0]} to {far['alarms'][1]}) are called malignant.",
        "",
        "| | per image | per lesion |",
        "|---|---|---|",
        *(f"| {name} | {spell(metrics[key], form)} | {spell(lesion[key], form)} |" for name, key, form in ROWS),
        "",
        f"Threshold {metrics['threshold']['probability']:.4f} ({point['policy']}), guarantee: {point['guarantee']}.",
        f"Calibration slope {spell(slope)}, ECE {metrics['calibration']['ece']:.3f} (by chance up to "
        f"{metrics['calibration']['ece_null_95']:.3f}). 95 % intervals: {metrics['method']['resamples']} resamples of "
        "lesion groups.",
        "",
    ]
    if verdicts:
        lines += ["## Gate", ""]
        for v in verdicts:
            number = "not computable" if v.received is None else f"{v.received:.4f}"
            lines.append(f"- {'passed' if v.passed else '**missed**'}: `{v.condition}` ({number})")
        lines.append("")
    return "\n".join(lines)
