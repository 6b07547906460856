"""The HTML report: one file, no script, no request; opens in a sandboxed frame, prints, fits a phone."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from components.common.artifacts.characteristics import Characteristics
from components.common.artifacts.estimate import Estimate, HasInterval
from components.common.artifacts.ledger import Opening, bundles_of, times_text
from components.common.artifacts.lineage import Lineage
from components.common.artifacts.metrics import DECISION, RANKING, Metrics, PrevalenceRow, SliceRow
from components.common.artifacts.policy import DecisionPolicy
from components.common.artifacts.presentation import (
    DASH,
    estimate_text,
    form_of,
    heading,
    named,
    percent_text,
    reason_words,
    value_words,
)
from components.common.artifacts.slices import Graded, failures, gaps, graded, images_behind, skin_types_known
from components.common.artifacts.trust import Line, level_counts
from components.common.runtime.svg import ALARM, BENIGN, GRID, MALIGNANT, MODEL, MUTED
from components.common.statistics.numeric import logit_of, sigmoid
from components.evaluate import drawings, figures
from components.evaluate.analysis import Inputs, Settings
from components.evaluate.checklist import checklist
from components.evaluate.context import PICTURE_SIDE
from components.evaluate.curves import roc_and_pr
from components.evaluate.gate import Verdict
from components.evaluate.summary import Thousand, per_thousand, per_thousand_ranges
from components.evaluate.trust import sentence

_TEMPLATES = Path(__file__).parent / "templates"
_HEADINGS = re.compile(r'<h[23] id="([a-z0-9_]+)">')
_COLOURS = {
    "found": MODEL,
    "missed": MALIGNANT,
    "false_positives": ALARM,
    "cleared": GRID,
    "benign": BENIGN,
    "muted": MUTED,
}
CASE_TITLES = {
    "missed": ("Most confident false negatives", "Malignant, predicted benign; lowest probability first."),
    "false_alarms": ("Most confident false positives", "Benign, predicted malignant; highest probability first."),
    "borderline": ("Closest to the threshold", "A small change of the probability would reverse the decision."),
}


@dataclass(frozen=True)
class Said:
    """What a report says besides its drawings.

    Attributes:
        metrics: every figure.
        verdicts: the gate's conditions, passed or missed.
        trust: the questions a reader should ask first, answered.
        lineage: where the rows of the table went; None if not at hand.
        openings: every time the test set was opened, this one last; empty where no ledger is kept.
        context: content of `context.json`.
        table1: who is in each split; None if not at hand.
    """

    metrics: Metrics
    verdicts: Sequence[Verdict]
    trust: Sequence[Line]
    lineage: Lineage | None
    openings: Sequence[Opening]
    context: Mapping[str, Any]
    table1: Characteristics | None = None


SECTIONS = {
    "trust": "Before you trust this",
    "words": "In plain words",
    "gate": "Release gate",
    "decision": "The decision",
    "ranking": "Telling malignant from benign",
    "calibration": "Calibration: do predicted probabilities match observed rates?",
    "worth": "Is it worth using, and where?",
    "slices": "Does it work equally well for everybody?",
    "shortcuts": "Shortcuts: how well can the label be guessed without the image?",
    "members": "Several members against one",
    "champion": "Against the champion",
    "cases": "Images worth a look",
    "data": "Data: from the table to the test images",
    "table1": "Table 1: who is in training, validation and test",
    "openings": "Openings of this test set",
    "training": "Training and provenance",
    "checklist": "Reporting checklist",
}
# what contents and links call a section with a long title
_SHORT = {
    "ranking": "ROC, precision and recall",
    "calibration": "Calibration",
    "worth": "Net benefit, other prevalences",
    "slices": "Groups of patients",
    "shortcuts": "Shortcuts",
    "data": "Data",
    "table1": "Table 1",
    "openings": "Openings of the test set",
}


@dataclass(frozen=True)
class Page:
    """Which page is made from the figures: the evaluation's report, or one that replaces some of its blocks.

    Attributes:
        folder: of the template; those of the report are found beside it.
        template: name of the template.
        sections: headings of the sections that the first screen links to.
        short: what contents and links call further sections with long titles.
        values: what the template needs besides the figures.
    """

    folder: Path = _TEMPLATES
    template: str = "report.html.j2"
    sections: Mapping[str, str] = field(default_factory=lambda: SECTIONS)
    short: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)


PAGE = Page()


def report_html(inputs: Inputs, settings: Settings, said: Said, page: Page = PAGE) -> str:
    """report.html, from computed numbers; equal inputs give equal bytes."""
    metrics, context = said.metrics, said.context
    lesion, lineage = metrics.lesion_level, said.lineage
    thousand = per_thousand(lesion.confusion)
    short = {**page.sections, **_SHORT, **page.short}
    values = {
        **page.values,
        "m": metrics,
        "lesion": lesion,
        "trust": said.trust,
        "anonymous": lineage is not None and not lineage.groups.known,
        "levels": level_counts(said.trust),
        "sections": page.sections,
        "short": short,
        "banner": lineage.notice if lineage else "",
        "malignant_words": ", ".join(value_words("dx", dx) for dx in lineage.malignant_diagnoses) if lineage else "",
        "patients": said.table1.all["test"].patients if said.table1 else None,
        "picture_side": PICTURE_SIDE,
        "verdicts": said.verdicts,
        "failed": [v for v in said.verdicts if not v.passed],
        "thousand": thousand,
        "ranges": per_thousand_ranges(thousand, lesion.sensitivity, lesion.specificity),
        "form_of": form_of,
        "scale": drawings.scale_svg(),
        "colours": _COLOURS,
        "ranking": RANKING,
        "decision": DECISION,
        "own": own_prevalence(metrics, inputs.policy),
        "figures": _figures(inputs, settings, metrics, context, thousand),
        "slices": _by_slice(metrics.slices),
        "failing": [sentence(one) for one in failures(metrics)],
        "gaps": _largest_gaps(metrics),
        "graded": graded,
        "behind": images_behind,
        "cases": [(*CASE_TITLES[name], rows) for name, rows in _cases(context)],
        "lineage": lineage,
        "openings": said.openings,
        "opened": times_text(len(said.openings)),
        "bundles": bundles_of(said.openings),
        "table1": said.table1,
        "skin_types": skin_types_known(metrics.slices),
        "data": context.get("data", {}),
        "training": context.get("training", {}),
        "refusal": context.get("refusal", ""),
        "provenance": _provenance(metrics, context),
        "champion_name": context.get("champion", ""),
        "checklist": checklist(metrics, said.lineage, context, table1=said.table1 is not None),
    }
    template = _environment(page.folder).get_template(page.template)
    return str(template.render(**values, contents=_contents(template.render(**values, contents=()), short)))


@cache
def _environment(folder: Path) -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, _TEMPLATES]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "spell": _spell,
        "percent": percent_text,
        "forest": _forest,
        "number": _number,
        "heading": heading,
        "named": named,
        "reason": reason_words,
    }
    environment.globals |= {"value_words": value_words}
    return environment


def own_prevalence(metrics: Metrics, policy: DecisionPolicy) -> PrevalenceRow:
    """The row of the prevalence table that was measured: that of the test images themselves."""
    pi, rate, found = metrics.prevalence, metrics.predicted_positive_rate, metrics.sensitivity
    missed = [None if one is None else 1000 * pi * (1 - one) for one in (found.value, found.upper, found.lower)]
    referred = [None if one is None else 1000 * one for one in (rate.value, rate.lower, rate.upper)]
    shifted = logit_of(np.array(policy.threshold_probability)) + logit_of(np.array(pi))
    return PrevalenceRow(
        prevalence=pi,
        threshold_probability_shifted=float(sigmoid(shifted - logit_of(np.array(policy.prevalence)))),
        ppv=metrics.ppv,
        npv=metrics.npv,
        referrals_per_cancer=metrics.number_needed_to_biopsy,
        referred_per_1000=Estimate(value=referred[0], lower=referred[1], upper=referred[2]),
        missed_per_1000=Estimate(value=missed[0], lower=missed[1], upper=missed[2]),
    )


def _largest_gaps(metrics: Metrics) -> list[str]:
    """One sentence per figure: `sensitivity by sex 0.12: female 0.80, male 0.92`."""
    names: tuple[Graded, ...] = ("sensitivity", "specificity", "roc_auc")
    largest = [(name, found[0]) for name in names if (found := gaps(metrics.slices, name))]
    return [
        f"{named(name)} by {named(gap.slice)}, {gap.size:.2f} ({value_words(gap.slice, gap.low_group)} {gap.low:.2f}, "
        f"{value_words(gap.slice, gap.high_group)} {gap.high:.2f})"
        for name, gap in largest
    ]


def _figures(
    inputs: Inputs,
    settings: Settings,
    metrics: Metrics,
    context: Mapping[str, Any],
    thousand: Thousand,
) -> dict[str, Any]:
    roc, pr = roc_and_pr(inputs.test, settings.resamples, settings.seed)
    counts = (thousand.found, thousand.missed, thousand.false_positives, thousand.cleared)
    parts = list(zip(counts, (MODEL, MALIGNANT, ALARM, GRID), strict=True))
    return {
        "thousand": drawings.thousand_svg(parts, "Of 1,000 lesions: found, missed, false positives, correctly cleared"),
        "roc": figures.roc_svg(roc, metrics),
        "pr": figures.pr_svg(pr, metrics),
        "histogram": figures.histogram_svg(inputs.test, inputs.policy),
        "reliability": figures.reliability_svg(metrics, 1.0),
        "reliability_low": figures.reliability_svg(metrics, 0.1),
        "sweep": figures.sweep_svg(metrics),
        "decision_curve": figures.decision_curve_svg(metrics),
        "training": figures.training_svgs(context.get("training", {}).get("history", {})),
    }


def _by_slice(rows: Sequence[SliceRow]) -> list[tuple[str, list[SliceRow]]]:
    names = dict.fromkeys(row.slice for row in rows)
    return [(name, [row for row in rows if row.slice == name]) for name in names]


def _contents(html: str, short: Mapping[str, str]) -> list[tuple[str, str]]:
    """Id and short title of each section that a page has, in order."""
    return [(one, short[one]) for one in _HEADINGS.findall(html)]


def _cases(context: Mapping[str, Any]) -> list[tuple[str, list[Any]]]:
    found = context.get("cases", {})
    return [(name, found[name]) for name in CASE_TITLES if found.get(name)]


def _provenance(metrics: Metrics, context: Mapping[str, Any]) -> list[tuple[str, str]]:
    training = context.get("training", {})
    rows = [("decision policy", metrics.policy_id)]
    rows += [(f"{name} artifact", entry["digest"]) for name, entry in sorted(context.get("provenance", {}).items())]
    split = context.get("data", {}).get("split", {})
    if split.get("sha256"):
        rows.append(("split", f"{split['sha256']} ({split.get('recipe')}, seed {split.get('seed')})"))
    rows += [("test scores", metrics.test_probs_sha256), ("validation scores", metrics.val_probs_sha256)]
    for part in ("model", "training_config", "environment"):
        rows += _grouped(part.replace("_config", ""), training.get(part) or {})
    return rows


def _grouped(name: str, values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """One line of `key value, key value` for the plain values, one more for each group of values inside."""
    plain = {key: _plain(value) for key, value in sorted(values.items()) if key != "schema"}
    said = ", ".join(f"{key} {text}" for key, text in plain.items() if text)
    rows = [(name, said)] if said else []
    for key, value in sorted(values.items()):
        if isinstance(value, Mapping):
            rows += _grouped(f"{name}: {key}", value)
    return rows


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return " x ".join(str(v) for v in value if not isinstance(v, Mapping | list))
    return str(value) if isinstance(value, str | int | float) and value != "" else ""


def _spell(found: HasInterval | None, form: str = "{:.3f}", counted: str = "") -> str:
    """The value, and its interval in an element of its own, which a phone puts on the next line.

    Args:
        found: the estimate.
        form: how many digits it has.
        counted: the counts behind it, such as `29/30`, put before the interval.
    """
    import markupsafe

    text, bracket, interval = estimate_text(found, form).partition(" (")
    small = " ".join(part for part in (counted, bracket.strip() + interval) if part)
    return markupsafe.Markup(f'{text}<span class="ci"> {small}</span>' if small else text)


def _number(value: float | None, form: str = "{:.3f}") -> str:
    return DASH if value is None else form.format(value)


def _forest(found: HasInterval, enough: bool, overall: HasInterval) -> str:
    import markupsafe

    return markupsafe.Markup(drawings.interval_svg(found, enough, overall.value))  # drawn by us from numbers
