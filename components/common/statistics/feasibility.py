"""Whether a split can carry what will be asked of it: known from group counts, before anything is trained.

What is asked: the folds of calibration and of an ensemble's members, the guarantee of the threshold, the limits beyond
which a person is asked, the release conditions. A way out is a set of parameters with which nothing is left to refuse.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from components.common.statistics.conformal import lesions_needed
from components.common.statistics.intervals import LEVEL, clopper_pearson_lower, groups_needed

LEAST_TARGET = 0.80  # no lower sensitivity is ever proposed: it would be a way out for the run and none for a patient
_MOST_ALPHA = 0.10
_OF_MALIGNANT = ("sensitivity", "ppv", "lesion_level.sensitivity", "lesion_level.ppv")
_OF_BENIGN = ("specificity", "npv", "lesion_level.specificity", "lesion_level.npv")

Change = dict[str, Any]


@dataclass(frozen=True)
class GateBound:
    """A release condition.

    Attributes:
        text: as it was written.
        figure: name of the figure in `metrics.json`.
        part: value, lower or upper.
        least: what the figure must reach; None for a condition from above only.
    """

    text: str
    figure: str
    part: str
    least: float | None


@dataclass(frozen=True)
class Demands:
    """What is asked of a split: parameters of calibrate of the same names, folds of training, release conditions.

    Attributes:
        folds: folds of calibration's cross-fit.
        operating_point: see calibrate.
        target_sensitivity: see calibrate.
        delta: see calibrate.
        abstain_alpha: see calibrate.
        train_folds: folds the training images are cut into for the members of an ensemble; 0: not cut.
        train_fold: the last of them that is left out.
        train_folds_name: the parameter that says how many.
        gate: release conditions.
    """

    folds: int
    operating_point: str
    target_sensitivity: float
    delta: float
    abstain_alpha: float
    train_folds: int = 0
    train_fold: int = 0
    train_folds_name: str = "train.folds"
    gate: tuple[GateBound, ...] = ()

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """From JSON, where KFP hands every number over as a float."""
        whole = {name: int(values[name]) for name in ("folds", "train_folds", "train_fold") if name in values}
        gate = tuple(GateBound(**one) for one in values.get("gate", ()))
        return cls(**{**values, **whole, "gate": gate})

    def changed(self, change: Change) -> Demands:
        """With other parameters, by the names a person sets."""
        mine = {
            "calibrate.folds": "folds",
            "operating_point": "operating_point",
            "target_sensitivity": "target_sensitivity",
            "calibrate.abstain_alpha": "abstain_alpha",
            self.train_folds_name: "train_folds",
        }
        named = {mine[name]: value for name, value in change.items() if name in mine}
        if "gate_conditions" in change:
            named["gate"] = tuple(one for one in self.gate if one.text in change["gate_conditions"])
        return replace(self, **named)


@dataclass(frozen=True)
class GroupCounts:
    """Groups of a split that have a readable image.

    Attributes:
        groups: all of them.
        malignant: with a malignant image.
        benign: with a benign one; a group may be in both counts.
    """

    groups: int
    malignant: int
    benign: int

    @property
    def only_benign(self) -> int:
        """Groups without a malignant image."""
        return self.groups - self.malignant


@dataclass(frozen=True)
class SplitCounts:
    """Groups of train, val and test."""

    train: GroupCounts
    val: GroupCounts
    test: GroupCounts

    @property
    def malignant(self) -> int:
        """Groups with a malignant image, all three together."""
        return self.train.malignant + self.val.malignant + self.test.malignant


@dataclass(frozen=True)
class Problem:
    """What will be refused.

    Attributes:
        line: numbers in a sentence.
        split: which split has too few groups.
        malignant_needed: how many malignant groups it would need; 0 where benign ones are missing.
        changes: parameters of which each set alone solves this problem.
    """

    line: str
    split: str
    malignant_needed: int
    changes: tuple[Change, ...]


def feasibility(counts: SplitCounts, demands: Demands) -> list[Problem]:
    """What a later step will refuse; empty where all is well."""
    found = [
        _cross_fit(counts.val, demands.folds),
        _bound(counts, demands),
        _abstain(counts.val, demands.abstain_alpha),
        _members(counts.train, demands),
        *(_condition(counts.test, one, demands.gate) for one in demands.gate),
    ]
    return [one for one in found if one is not None]


def changes_that_work(counts: SplitCounts, demands: Demands) -> Iterator[Change]:
    """Parameters with which the same split carries everything, one change for each problem at once."""
    problems = feasibility(counts, demands)
    for parts in itertools.product(*(one.changes for one in problems)):
        change: Change = {}
        for part in parts:
            conditions = change.get("gate_conditions")
            change |= part
            if conditions is not None and "gate_conditions" in part:  # each leaves out one condition
                change["gate_conditions"] = [text for text in part["gate_conditions"] if text in conditions]
        if change and not feasibility(counts, demands.changed(change)):
            yield change


def malignant_groups_wanted(counts: SplitCounts, problems: Sequence[Problem]) -> int:
    """How many malignant groups the table would need at the same shares; 0 where that does not help or is unknown."""
    wanted = []
    for one in problems:
        have = getattr(counts, one.split).malignant
        if not one.malignant_needed or not have:
            return 0
        wanted.append(math.ceil(1.05 * one.malignant_needed * counts.malignant / have))  # groups differ in size
    return max(wanted, default=0)


def _cross_fit(val: GroupCounts, folds: int) -> Problem | None:
    kind, have = min(("malignant", val.malignant), ("benign", val.only_benign), key=lambda one: one[1])
    if have >= folds:
        return None
    line = (
        f"calibration cross-fits over {folds} folds (calibrate.folds) and needs at least as many groups of each class: "
        f"val has {val.malignant} malignant and {val.only_benign} benign ones"
    )
    return Problem(line, "val", folds * (kind == "malignant"), ({"calibrate.folds": have},) if have >= 2 else ())


def _bound(counts: SplitCounts, demands: Demands) -> Problem | None:
    have, target = counts.val.malignant, demands.target_sensitivity
    needed = groups_needed(target, demands.delta)
    if demands.operating_point != "lower_bound" or have >= needed:
        return None
    reachable = math.floor(100 * demands.delta ** (1 / have)) / 100 if have else 0.0
    changes: list[Change] = [{"target_sensitivity": reachable}] if reachable >= LEAST_TARGET else []
    if have:
        changes.append({"operating_point": "point"})
    line = (
        f"operating_point=lower_bound cannot guarantee a sensitivity of {target:g} at delta {demands.delta:g} with "
        f"fewer than {needed} malignant groups in val: it has {have} of {counts.malignant}"
    )
    return Problem(line, "val", needed, tuple(changes))


def _abstain(val: GroupCounts, alpha: float) -> Problem | None:
    needed = lesions_needed(alpha) if alpha else 0
    have = min(val.malignant, val.benign)
    if have >= needed:
        return None
    possible = math.ceil(1000 / (have + 1)) / 1000
    line = (
        f"calibrate.abstain_alpha={alpha:g} needs {needed} groups of each class in val: it has {val.malignant} with a "
        f"malignant and {val.benign} with a benign image"
    )
    change = {"calibrate.abstain_alpha": possible if possible <= _MOST_ALPHA else 0}
    return Problem(line, "val", needed * (val.malignant <= val.benign), (change,))


def _members(train: GroupCounts, demands: Demands) -> Problem | None:
    folds, name = demands.train_folds, demands.train_folds_name
    have = min(train.malignant, train.only_benign)
    if have >= folds:
        return None
    line = (
        f"{name}={folds} cuts the training images into folds that each need groups of both classes: train has "
        f"{train.malignant} malignant and {train.only_benign} benign ones"
    )
    changes = ({name: have},) if have >= 2 and have > demands.train_fold else ()
    return Problem(line, "train", folds * (train.malignant <= train.only_benign), changes)


def _condition(test: GroupCounts, one: GateBound, gate: Sequence[GateBound]) -> Problem | None:
    """A condition on the end of an interval that even a model without an error would miss, or that has no interval."""
    if one.part == "value":
        return None
    kind = "malignant" if one.figure in _OF_MALIGNANT else "benign" if one.figure in _OF_BENIGN else ""
    changes = ({"gate_conditions": [other.text for other in gate if other.text != one.text]},)
    if not kind:
        have = min(test.malignant, test.benign)
        line = (
            f"release condition {one.text!r}: an interval needs 2 groups of each class, test has {test.malignant} with "
            f"a malignant and {test.benign} with a benign image"
        )
        return Problem(line, "test", 2 * (test.malignant <= test.benign), changes) if have < 2 else None
    have = getattr(test, kind)
    best = float(clopper_pearson_lower(have, have, (1 - LEVEL) / 2))
    if one.part != "lower" or one.least is None or best >= one.least:
        return None
    needed = groups_needed(one.least, (1 - LEVEL) / 2) if 0 < one.least < 1 else 0
    line = (
        f"release condition {one.text!r}: with the {have} {kind} groups in test even a model without an error has a "
        f"lower bound of {best:.3f}; {needed or 'no number of'} groups would be enough"
    )
    return Problem(line, "test", needed * (kind == "malignant"), changes)
