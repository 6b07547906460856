"""Whether a split can carry what calibration will ask of it: known from group counts, before anything is trained."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from components.common.statistics.conformal import lesions_needed

_MOST_VAL = 0.4  # a larger share of val is no longer worth proposing: train becomes too small
_LEAST_TARGET = 0.5  # a lower target sensitivity is not worth proposing


@dataclass(frozen=True)
class Demands:
    """What calibration asks of the validation split; the parameters of calibrate of the same names."""

    folds: int
    operating_point: str
    target_sensitivity: float
    delta: float
    abstain_alpha: float

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Self:
        """From calibrate's parameters as JSON has them (KFP hands numbers over as floats); others are ignored."""
        values = {one.name: config[one.name] for one in fields(cls)}
        return cls(**values | {"folds": int(values["folds"])})


@dataclass(frozen=True)
class ValGroups:
    """Groups of the validation split, and what it was cut from.

    Attributes:
        groups: groups with a readable image.
        malignant: of these, with a malignant one.
        benign: of these, with a benign one; a group may be in both counts.
        malignant_everywhere: groups with a readable malignant image in train, val and test together.
        val_share: share of the images asked for val, test_share that for test; None where the recipe has no such
            parameters.
        test_share: see val_share.
    """

    groups: int
    malignant: int
    benign: int
    malignant_everywhere: int
    val_share: float | None = None
    test_share: float | None = None


def groups_needed(target: float, delta: float) -> int:
    """Fewest malignant groups with which the Clopper-Pearson bound can reach `target`, when all are found.

    >>> groups_needed(0.90, 0.05)
    29
    """
    return math.ceil(math.log(delta) / math.log(target) - 1e-9)


def feasibility(val: ValGroups, demands: Demands) -> list[str]:
    """What calibration will refuse, one line each: numbers, then the ways out that work; empty where all is well."""
    return [*_cross_fit(val, demands.folds), *_bound(val, demands), *_abstain(val, demands.abstain_alpha)]


def _cross_fit(val: ValGroups, folds: int) -> list[str]:
    only_benign = val.groups - val.malignant
    kind, have = min(("malignant", val.malignant), ("benign", only_benign), key=lambda one: one[1])
    if have >= folds:
        return []
    ways = _larger_val(val, folds) if kind == "malignant" else []
    if have >= 2:
        ways.append(f"calibrate.folds={have}")
    return [
        f"calibration cross-fits over {folds} folds (calibrate.folds) and needs as many groups of each class: val has "
        f"{val.malignant} malignant and {only_benign} benign ones; {_ways_out(ways)}"
    ]


def _bound(val: ValGroups, demands: Demands) -> list[str]:
    needed = groups_needed(demands.target_sensitivity, demands.delta)
    if demands.operating_point != "lower_bound" or val.malignant >= needed:
        return []
    ways = _larger_val(val, needed)
    reachable = math.floor(100 * demands.delta ** (1 / max(val.malignant, 1))) / 100
    if reachable >= _LEAST_TARGET:
        ways.append(f"target_sensitivity={reachable:g}")
    if val.malignant:
        ways.append("operating_point=point (no guarantee)")
    return [
        f"operating_point=lower_bound cannot promise a sensitivity of {demands.target_sensitivity:g} at delta "
        f"{demands.delta:g} with fewer than {needed} malignant groups in val: it has {val.malignant} of "
        f"{val.malignant_everywhere}; {_ways_out(ways)}"
    ]


def _abstain(val: ValGroups, alpha: float) -> list[str]:
    needed = lesions_needed(alpha) if alpha else 0
    have = min(val.malignant, val.benign)
    if have >= needed:
        return []
    ways = [] if val.benign < val.malignant else _larger_val(val, needed)
    possible = math.ceil(1000 / (have + 1)) / 1000
    if possible < 0.5:
        ways.append(f"calibrate.abstain_alpha={possible:g}")
    return [
        f"calibrate.abstain_alpha={alpha:g} needs {needed} groups of each class in val: it has {val.malignant} with a "
        f"malignant and {val.benign} with a benign image; {_ways_out([*ways, 'calibrate.abstain_alpha=0'])}"
    ]


def _larger_val(val: ValGroups, needed: int) -> list[str]:
    """The share of val that should hold `needed` malignant groups, if there is one."""
    if val.val_share is None or val.test_share is None or not val.malignant_everywhere:
        return []
    share = math.ceil(100 * 1.05 * needed / val.malignant_everywhere) / 100  # groups differ in size
    return [f"split.val_share={share:g}"] if val.val_share < share <= _MOST_VAL and share + val.test_share < 1 else []


def _ways_out(ways: list[str]) -> str:
    return f"ways out: {', or '.join([*ways, 'more malignant lesions in the table'])}"
