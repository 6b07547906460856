"""The release gate: conditions on the metrics, each passed or missed, with the number it was compared with."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from components.common.artifacts.estimate import Estimate
from components.common.artifacts.json_file import read_json, shown
from components.common.artifacts.ledger import Opening
from components.common.artifacts.metrics import FIGURES, Metrics
from components.common.runtime.errors import ArtifactError, GateError

SCHEMA = "lesionflow.gate/1"
FILE = "gate.json"
_FIGURES: dict[str, Callable[[Metrics], Estimate | None]] = {
    **{name: partial(Metrics.figure, name=name) for name in FIGURES},
    "calibration.slope": lambda m: m.calibration.slope,
    "calibration.intercept": lambda m: m.calibration.intercept,
    "lesion_level.roc_auc": lambda m: m.lesion_level.roc_auc,
    "lesion_level.average_precision": lambda m: m.lesion_level.average_precision,
    "lesion_level.sensitivity": lambda m: m.lesion_level.sensitivity,
    "lesion_level.specificity": lambda m: m.lesion_level.specificity,
    "champion.auc_difference": lambda m: m.champion.auc_difference if m.champion else None,
    "champion.ap_difference": lambda m: m.champion.ap_difference if m.champion else None,
}
_NUMBERS: dict[str, Callable[[Metrics], float]] = {
    "prevalence": lambda m: m.prevalence,
    "calibration.ece": lambda m: m.calibration.ece,
    "calibration.brier": lambda m: m.calibration.brier,
    "calibration.log_loss": lambda m: m.calibration.log_loss,
}
_OPENINGS = "test.openings"  # not a figure of metrics.json: those follow from the scores alone
_SHARES = {
    *(name for name in FIGURES if name not in ("average_precision_normalised", "number_needed_to_biopsy")),
    *(name for name in _FIGURES if name.startswith("lesion_level.")),
    *("prevalence", "calibration.ece", "calibration.brier"),
}
_SHORT = {
    "ap": "average_precision",
    "auc": "roc_auc",
    "calibration_slope": "calibration.slope",
    "calibration_intercept": "calibration.intercept",
    "ece": "calibration.ece",
    "lesion_auc": "lesion_level.roc_auc",
    "lesion_ap": "lesion_level.average_precision",
    "lesion_sensitivity": "lesion_level.sensitivity",
    "lesion_specificity": "lesion_level.specificity",
}
_COMPARE = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_BOUND = re.compile(rf"^([A-Za-z_.\d]+)\s*(>=|<=|>|<)\s*({_NUMBER})$")
_RANGE = re.compile(rf"^([A-Za-z_.\d]+)\s+in\s+\[\s*({_NUMBER})\s*,\s*({_NUMBER})\s*\]$")


@dataclass(frozen=True)
class Condition:
    """One condition.

    Attributes:
        text: as written.
        figure: which figure of metrics.json, such as `roc_auc` or `calibration.slope`.
        part: value, lower or upper.
        sign: >=, <=, >, < or in.
        bounds: one number, or two for `in`.
    """

    text: str
    figure: str
    part: str
    sign: str
    bounds: tuple[float, ...]

    @property
    def least(self) -> float | None:
        """What the figure must at least be; None for a condition that bounds it from above only."""
        return None if self.sign in ("<", "<=") else self.bounds[0]


@dataclass(frozen=True)
class Verdict:
    """A condition compared with the metrics.

    Attributes:
        condition: as written.
        received: the number found; None where it could not be computed.
        passed: whether it holds; False without a number.
    """

    condition: str
    received: float | None
    passed: bool


def parse_condition(text: str) -> Condition:
    """Reads `ap.lower >= 0.60` or `calibration_slope in [0.8, 1.2]`.

    Raises:
        ValueError: says what was received and what a condition looks like.
    """
    bound, within = _BOUND.match(text.strip()), _RANGE.match(text.strip())
    if bound:
        return Condition(text, *_figure(bound[1], text), bound[2], (float(bound[3]),))
    if within:
        low, high = float(within[2]), float(within[3])
        if low > high:
            raise ValueError(f"gate condition {text!r}: the range is empty; write the smaller number first")
        return Condition(text, *_figure(within[1], text), "in", (low, high))
    raise ValueError(
        f"gate condition {text!r} is not readable; write 'ap.lower >= 0.60' or 'calibration_slope in [0.8, 1.2]'"
    )


def refuse_impossible(condition: Condition) -> None:
    """Refuses a condition that no evaluation can meet: on a share in percent, or on an interval that is not computed.

    Raises:
        ValueError: names the figure and what it can be.
    """
    if condition.figure in _NUMBERS and condition.part != "value":
        raise ValueError(
            f"gate condition {condition.text!r}: {condition.figure} has no interval; write it without .{condition.part}"
        )
    low, high = (-math.inf, condition.bounds[0]) if condition.least is None else (condition.least, math.inf)
    if condition.sign == "in":
        high = condition.bounds[1]
    beyond = low > 1 or (low == 1 and condition.sign == ">") or high < 0 or (high == 0 and condition.sign == "<")
    if beyond and condition.figure in _SHARES:
        raise ValueError(
            f"gate condition {condition.text!r}: {condition.figure} lies between 0 and 1; write 0.85 for 85 %"
        )


def check(conditions: Iterable[str], metrics: Metrics, openings: Sequence[Opening] = ()) -> list[Verdict]:
    """Compares each condition with the figures, or with how often the test set was opened.

    Where no ledger is kept, that number is not known, and such a condition is missed.
    """
    return [_judge(parse_condition(text), metrics, len(openings) or None) for text in conditions]


def gate_record(verdicts: list[Verdict]) -> dict[str, Any]:
    """The content of gate.json."""
    return {
        "schema": SCHEMA,
        "passed": all(v.passed for v in verdicts),
        "conditions": [asdict(v) for v in verdicts],
    }


def describe(verdicts: Iterable[Verdict]) -> str:
    """`missed: ap.lower >= 0.60 (0.5731)`, one condition after the other."""
    return "; ".join(
        f"{'passed' if v.passed else 'missed'}: {v.condition} "
        f"({'not computable' if v.received is None else f'{v.received:.4f}'})"
        for v in verdicts
    )


def refuse_missed(verdicts: Sequence[Verdict]) -> None:
    """Fails where a condition is missed.

    Raises:
        GateError: lists the missed conditions with their numbers.
    """
    missed = [v for v in verdicts if not v.passed]
    if missed:
        said = describe([*missed, *(v for v in verdicts if v.passed)])
        raise GateError(f"{len(missed)} of {len(verdicts)} release conditions not met; {said}; see report.html")


def read_gate(path: Path) -> list[Verdict]:
    """The verdicts of a gate.json.

    Raises:
        ArtifactError: not such a file, a condition is not readable, or the verdict contradicts the conditions.
    """
    record = read_json(path, SCHEMA)
    try:
        found = [Verdict(**item) for item in record["conditions"]]
        for one in found:
            parse_condition(one.condition)
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path}: not a readable gate ({error}); evaluate the bundle again") from error
    if record.get("passed") != all(one.passed for one in found):
        said = shown(record.get("passed"))
        raise ArtifactError(f"{path}: passed is {said}, which contradicts its conditions; evaluate the bundle again")
    return found


def _figure(name: str, text: str) -> tuple[str, str]:
    stem, _, part = name.rpartition(".")
    if part not in ("value", "lower", "upper") or not stem:
        stem, part = name, "value"
    full = _SHORT.get(stem, stem)
    if full not in (*_FIGURES, *_NUMBERS, _OPENINGS):
        known = ", ".join(sorted({*_FIGURES, *_NUMBERS, *_SHORT, _OPENINGS}))
        raise ValueError(f"gate condition {text!r}: {stem!r} is not a metric; known are {known}")
    return full, part


def _judge(condition: Condition, metrics: Metrics, openings: int | None) -> Verdict:
    received = _received(condition, metrics, openings)
    if received is None:
        return Verdict(condition.text, None, False)
    if condition.sign == "in":
        low, high = condition.bounds
        return Verdict(condition.text, received, low <= received <= high)
    return Verdict(condition.text, received, bool(_COMPARE[condition.sign](received, condition.bounds[0])))


def _received(condition: Condition, metrics: Metrics, openings: int | None) -> float | None:
    if condition.figure == _OPENINGS:
        return openings if condition.part == "value" else None
    if condition.figure in _NUMBERS:
        return _NUMBERS[condition.figure](metrics) if condition.part == "value" else None
    found = _FIGURES[condition.figure](metrics)
    if found is None:
        return None
    return {"value": found.value, "lower": found.lower, "upper": found.upper}[condition.part]
