"""The threshold, chosen on validation scores by a named rule.

Whatever the rule, no threshold is taken that another one dominates on validation: of those with equal specificity the
one with the highest sensitivity is taken, so that no malignant image is missed without a gain in specificity.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from components.calibrate.config import CalibrateConfig
from components.common.artifacts.policy import Calibrator
from components.common.artifacts.scores import Scores
from components.common.runtime.errors import DataError
from components.common.statistics.intervals import clopper_pearson_lower, groups_needed
from components.common.statistics.numeric import Floats
from components.common.statistics.resampling import group_codes, group_counts

_CHANCE_RESAMPLES = 1000


@dataclass(frozen=True)
class OperatingPoint:
    """A chosen threshold and what is known about it on validation.

    Attributes:
        threshold_logit: malignant if and only if raw logit >= this; a float32 value between two scores.
        sensitivity: share of malignant validation images at or above it.
        lesion_sensitivity: the same, each malignant lesion group counting once.
        sensitivity_lower: one-sided Clopper-Pearson lower bound over malignant groups at 1 - delta.
        specificity: share of benign validation images below it.
        chance: share of group resamples whose own threshold reaches the target on all of validation; None
            for a rule without target.
        guarantee: what is guaranteed on new lesions, as a sentence.
    """

    threshold_logit: float
    sensitivity: float
    lesion_sensitivity: float
    sensitivity_lower: float
    specificity: float
    chance: float | None
    guarantee: str


def choose(config: CalibrateConfig, scores: Scores, calibrator: Calibrator) -> OperatingPoint:
    """Applies the configured rule to validation scores.

    Raises:
        DataError: one class only, too few malignant groups for the bound, or a cost threshold that no
            score reaches.
    """
    sweep = _Sweep(scores)
    if config.operating_point == "lower_bound":
        return _lower_bound(config, sweep)
    if config.operating_point == "point":
        return _point(config, sweep)
    if config.operating_point == "youden":
        k = int(np.argmax(sweep.sensitivity() + sweep.specificity()))
        return sweep.at(sweep.undominated(k), config.delta, None, "none; highest sensitivity + specificity - 1")
    return _cost(config, sweep, calibrator)


def measured_at(threshold_logit: float, scores: Scores, delta: float, guarantee: str) -> OperatingPoint:
    """What is known on these scores about a threshold that was chosen elsewhere.

    Raises:
        DataError: one class only.
    """
    return _Sweep(scores).at(threshold_logit, delta, None, guarantee)


def share_to_find(config: CalibrateConfig, scores: Scores) -> float:
    """The share of malignant images, and of lesions, at or above the threshold that `lower_bound` takes.

    How much above the target it must be depends on how many malignant groups there are.
    """
    return _bounded(config, _Sweep(scores))[1]


def threshold_finding(share: float, scores: Scores) -> float:
    """The highest threshold on the raw logit that finds at least `share` of malignant images, and of lesions."""
    sweep = _Sweep(scores)
    return sweep.undominated(_first(sweep.least_share(), share))


def logit_at(calibrator: Calibrator, probability: float, scores: Floats) -> float:
    """The smallest raw logit whose calibrated probability is at least `probability`, by bisection.

    Raises:
        DataError: no logit reaches it (an isotonic calibrator is bounded).
    """
    low, high = float(scores.min()) - 100.0, float(scores.max()) + 100.0
    ends = calibrator.probability(np.array([low, high]))
    if not ends[0] < probability <= ends[1]:
        raise DataError(
            f"operating_point cost: the threshold probability {probability:.4g} is outside what the {calibrator.name} "
            f"calibrator gives, {ends[0]:.4g} to {ends[1]:.4g}; choose another cost_ratio or calibration"
        )
    for _ in range(200):
        middle = 0.5 * (low + high)
        if middle in (low, high):
            break
        if float(calibrator.probability(np.array([middle]))[0]) >= probability:
            high = middle
        else:
            low = middle
    return high


class _Sweep:
    """Validation scores sorted for a walk over all thresholds, from the highest score down.

    Threshold k classifies the distinct scores 0 to k as malignant; threshold -1 classifies none as malignant.
    """

    def __init__(self, scores: Scores) -> None:
        y = scores.label
        if not 0 < y.sum() < len(y):
            raise DataError(
                f"validation has {int(y.sum())} malignant of {len(y)} images; a threshold needs both classes"
            )
        self.logit, self.label = scores.logit, y
        self.distinct = np.unique(scores.logit)[::-1]
        self.between = _between(self.distinct)
        self.group, self.groups = group_codes(scores.group_id[y == 1])
        self.malignant = scores.logit[y == 1]
        self.benign = np.sort(scores.logit[y == 0])
        self.size = np.bincount(self.group, minlength=self.groups)

    def sensitivity(self, counts: Floats | None = None, each: bool = False) -> Floats:
        """(thresholds,) sensitivity; weighted by `counts` per group; `each`: every group counts once."""
        per_group = np.ones(self.groups) if counts is None else counts
        w = (per_group / (self.size if each else 1.0))[self.group]
        at = np.searchsorted(-self.distinct, -self.malignant)
        share: Floats = np.cumsum(np.bincount(at, weights=w, minlength=len(self.distinct))) / w.sum()
        return share

    def least_share(self, counts: Floats | None = None) -> Floats:
        """(thresholds,) the smaller of the two sensitivities: over images, and with every group counting once."""
        return np.minimum(self.sensitivity(counts), self.sensitivity(counts, each=True))

    def specificity(self) -> Floats:
        return np.searchsorted(self.benign, self.distinct, side="left") / len(self.benign)

    def undominated_index(self, k: int) -> int:
        """From threshold k down to the highest sensitivity of equal specificity, then up to the highest specificity.

        Both moves are free on validation. The second one leaves a threshold that the first has moved, or that lies
        at a malignant score, where it is.
        """
        specificity, sensitivity = np.r_[1.0, self.specificity()], np.r_[0.0, self.sensitivity()]
        lowest = int(np.flatnonzero(specificity == specificity[k + 1])[-1])
        return int(np.flatnonzero(sensitivity == sensitivity[lowest])[0]) - 1

    def undominated(self, k: int) -> float:
        """The threshold at `undominated_index` of k."""
        index = self.undominated_index(k)
        return float(self.between[index] if index >= 0 else self.distinct[0] + 1.0)

    def at(self, threshold: float, delta: float, chance: float | None, guarantee: str) -> OperatingPoint:
        found = self.malignant >= threshold
        lesion = float(np.mean(np.bincount(self.group, weights=found, minlength=self.groups) / self.size))
        image = float(found.mean())
        lower = float(clopper_pearson_lower(self.groups * min(image, lesion), self.groups, delta))
        return OperatingPoint(
            float(threshold), image, lesion, lower, float(np.mean(self.benign < threshold)), chance, guarantee
        )

    def chance(self, target: float, needed: float, seed: int) -> float:
        """How often a threshold chosen like this one reaches `target`, choosing on group resamples."""
        full = self.least_share()
        # the last threshold of each threshold's run of equal specificity; resamples keep the benign images
        last = np.searchsorted(-self.specificity(), -self.specificity(), side="right") - 1
        hits = []
        for block in group_counts(self.groups, _CHANCE_RESAMPLES, seed):
            for counts in block.T.astype(np.float64):
                share = self.least_share(counts)
                # scores of groups that were not drawn do not lower the threshold
                lowered = _first(share, share[last[_first(share, needed)]])
                hits.append(full[lowered] >= target)
        return float(np.mean(hits))


def _lower_bound(config: CalibrateConfig, sweep: _Sweep) -> OperatingPoint:
    needed = groups_needed(config.target_sensitivity, config.delta)
    if sweep.groups < needed:
        raise DataError(
            f"operating_point lower_bound: validation has {sweep.groups} malignant groups, expected at least "
            f"{needed} to bound sensitivity {config.target_sensitivity:g} at delta {config.delta:g}; use a larger "
            "validation split, a lower target_sensitivity or operating_point point (no guarantee)"
        )
    k, share = _bounded(config, sweep)
    chance = sweep.chance(config.target_sensitivity, share, config.seed)
    words = (
        f"sensitivity >= {config.target_sensitivity:g} on new lesions of the same kind, with probability "
        f">= {1 - config.delta:g} (Clopper-Pearson over {sweep.groups} malignant groups)"
    )
    return sweep.at(sweep.undominated(k), config.delta, chance, words)


def _bounded(config: CalibrateConfig, sweep: _Sweep) -> tuple[int, float]:
    """The highest threshold whose lower bound reaches the target, and the share it finds."""
    share = sweep.least_share()
    bound = clopper_pearson_lower(sweep.groups * share, sweep.groups, config.delta)
    k = _first(bound, config.target_sensitivity)
    return k, float(share[k])


def _point(config: CalibrateConfig, sweep: _Sweep) -> OperatingPoint:
    k = _first(sweep.sensitivity(), config.target_sensitivity)
    chance = sweep.chance(config.target_sensitivity, config.target_sensitivity, config.seed)
    words = (
        f"none; sensitivity {config.target_sensitivity:g} is reached on validation only; on new data of the same kind "
        f"the chance to reach it is about {chance:.2f}"
    )
    return sweep.at(sweep.undominated(k), config.delta, chance, words)


def _cost(config: CalibrateConfig, sweep: _Sweep, calibrator: Calibrator) -> OperatingPoint:
    """The threshold of least expected cost (Elkan 2001), moved only where validation has a better one for free."""
    t = 1.0 / (1.0 + config.cost_ratio)
    exact = _float32_from(logit_at(calibrator, t, sweep.distinct))
    words = f"none; threshold {t:.4g} = 1 / (1 + cost ratio {config.cost_ratio:g})"
    k = int((sweep.distinct >= exact).sum()) - 1
    free = sweep.undominated_index(k)
    if free == k:
        return sweep.at(exact, config.delta, None, words)
    gain = "more sensitivity at equal specificity" if free > k else "more specificity at equal sensitivity"
    moved = "lowered" if free > k else "raised"
    return sweep.at(sweep.undominated(k), config.delta, None, f"{words}, {moved} for {gain} on validation")


def _first(rising: Floats, target: float) -> int:
    """Index of the highest threshold at which a curve that rises as the threshold falls reaches `target`."""
    return int(np.argmax(rising >= target - 1e-12))


def _float32_from(logit: float) -> float:
    """The smallest float32 that is not below `logit`: the serving graph compares in float32."""
    near = np.float32(logit)
    return float(near if near >= logit else np.nextafter(near, np.float32(np.inf)))


def _between(distinct: Floats) -> Floats:
    """Thresholds with the same decisions as the descending `distinct` scores, half-way to the next lower score.

    Half-way, a rounding difference between two runtimes changes no decision; float32, because the serving graph
    compares in it.
    """
    lower = np.r_[distinct[1:], distinct[-1] - 1.0]
    middle = (0.5 * (distinct + lower)).astype(np.float32).astype(np.float64)
    return np.where((middle > lower) & (middle <= distinct), middle, distinct)
