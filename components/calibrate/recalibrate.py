"""Recalibrate: a finished policy adjusted for another site, on scores of labelled images from there.

Nothing is trained and the order of the scores stays: probabilities get no, one or two new coefficients, and the
threshold is chosen again by the rules of `operating_point`. How well the new rule does is measured on lesions that
neither coefficients nor threshold have seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from components.calibrate.config import CalibrateConfig
from components.calibrate.operating_point import OperatingPoint, choose, measured_at, share_to_find, threshold_finding
from components.calibrate.ranking_check import check_ranking
from components.calibrate.run import policy_of
from components.common.artifacts.calibration import Counts, Recalibration, SiteFigures, Threshold
from components.common.artifacts.estimate import Estimate
from components.common.artifacts.policy import ASKED, MOST_SITE, Calibrator, DecisionPolicy
from components.common.artifacts.scores import Scores
from components.common.runtime.errors import ConfigError, DataError
from components.common.statistics.folds import deal_folds, order_by_seed
from components.common.statistics.intervals import group_share, groups_needed, percentile, rarer
from components.common.statistics.numeric import Floats, logit_of
from components.common.statistics.ranking import roc_auc
from components.common.statistics.recalibration import Step, Update, calibration_line, closed_test
from components.common.statistics.reliability import calibration_error, log_losses
from components.common.statistics.resampling import group_codes, group_counts

# ten events per fitted coefficient (Peduzzi 1996, J Clin Epidemiol 49:1373), in groups of the rarer class
NEEDED: Mapping[Step, int] = {"intercept": 10, "intercept_and_slope": 20}
_FOLDS = 10
_WORDS: Mapping[Step, str] = {
    "kept": "probabilities kept",
    "intercept": "new intercept",
    "intercept_and_slope": "new intercept and slope",
}


@dataclass(frozen=True)
class Recalibrated:
    """An adjusted policy and why it is as it is."""

    policy: DecisionPolicy
    record: Recalibration


def recalibrate(
    config: CalibrateConfig,
    parent: DecisionPolicy,
    scores: Scores,
    scores_sha256: str,
    site: str,
    *,
    keep: bool = False,
    resamples: int = 2000,
) -> Recalibrated:
    """Adjusts a policy.

    Args:
        config: the rule for the threshold, the abstain error and the seed; the calibrator is the parent's.
        parent: the policy to adjust.
        scores: raw logits and labels of the site's images; those refused as not dermoscopic take no part.
        scores_sha256: sha256 of the file they come from.
        site: name of the site.
        keep: leave the threshold on the raw logit, and with it every decision, as it is.
        resamples: of lesion groups, for intervals.

    Raises:
        ConfigError: the name of the site is empty, too long or not printable.
        DataError: too few groups for any update or for the rule, with what is allowed; or scores that do not rank.
    """
    if not 1 <= len(site) <= MOST_SITE or not site.isprintable():
        raise ConfigError(f"--site: received {site!r}; allowed: 1 to {MOST_SITE} printable characters")
    refused = int(scores.not_dermoscopy.sum())  # they go to a person whatever the policy says
    scores = scores.take(np.flatnonzero(~scores.not_dermoscopy))
    check_ranking(scores, site)
    largest = _largest(config, scores, keep)
    calibrator, update = _calibrator(parent, scores, largest)
    point = _point(config, parent, scores, calibrator, keep)
    policy = policy_of(config, scores, calibrator, point, parent.model_sha256, scores_sha256)
    if keep:
        measured = {k: v for k, v in policy.operating_point.items() if k not in ASKED[config.operating_point]}
        policy = replace(policy, operating_point={**measured, "policy": "kept"})
    policy = replace(policy, parent={"policy_id": parent.policy_id, "site": site})
    folds, after = _cross_fitted(config, parent, scores, largest, keep)
    before = _Predicted(parent.probability(scores.logit), parent.decide(scores.logit))
    record = Recalibration(
        site=site,
        parent_policy_id=parent.policy_id,
        policy_id=policy.policy_id,
        scores_sha256=scores_sha256,
        left_out_not_dermoscopy=refused,
        config=config.model_dump(mode="json"),
        largest_allowed=largest,
        why=_why(update, largest, scores),
        update=update,
        threshold=Threshold(before=parent.threshold_logit, after=policy.threshold_logit, kept=keep),
        counts=_counts(scores),
        folds=folds,
        roc_auc=roc_auc(scores.label, scores.logit),
        before=_measured(before, scores, resamples, config.seed),
        cross_fitted=_measured(after, scores, resamples, config.seed),
    )
    return Recalibrated(policy, record)


def _groups(scores: Scores) -> dict[str, int]:
    """Groups with a malignant and with a benign image."""
    return {
        kind: group_codes(scores.group_id[scores.label == value])[1]
        for kind, value in (("malignant", 1), ("benign", 0))
    }


def _largest(config: CalibrateConfig, scores: Scores, keep: bool) -> Step:
    """The largest update that the groups carry.

    Raises:
        DataError: too few for an intercept, or for a threshold by the rule; says how many are needed.
    """
    groups = _groups(scores)
    kind = min(groups, key=lambda name: groups[name])
    have, target, delta = groups[kind], config.target_sensitivity, config.delta
    allowed: list[Step] = [step for step in NEEDED if have >= NEEDED[step]]
    if not allowed:
        raise DataError(
            f"{have} {kind} groups: no adjustment is allowed, the bundle stays as it is; a new intercept needs "
            f"{NEEDED['intercept']} groups of each class ({NEEDED['intercept'] - have} more), a slope "
            f"{NEEDED['intercept_and_slope']}"
        )
    needed = groups_needed(target, delta)
    if config.operating_point == "lower_bound" and not keep and groups["malignant"] < needed:
        raise DataError(
            f"{groups['malignant']} malignant groups are enough for a {_WORDS[allowed[-1]]}, not for a threshold that "
            f"promises a sensitivity of {target:g} at delta {delta:g}: it needs {needed} "
            f"({needed - groups['malignant']} more). Ways out: --keep-threshold (decisions stay as they are, "
            "probabilities are adjusted), or --set operating_point=point (no guarantee)"
        )
    return allowed[-1]


def _calibrator(parent: DecisionPolicy, scores: Scores, largest: Step) -> tuple[Calibrator, Update]:
    """Probabilities for the site.

    Raises:
        DataError: the fitted slope is not above 0.
    """
    codes, _ = group_codes(scores.group_id)
    before = logit_of(parent.probability(scores.logit))
    update = closed_test(before, scores.label.astype(np.float64), codes, largest)
    if update.slope <= 1e-6:
        raise DataError(
            f"the fitted slope is {update.slope:.3g}, expected above 0: the model does not rank malignant images above "
            "benign ones at this site; no adjustment helps, check the labels"
        )
    if update.step == "kept":
        return parent.calibrator, update
    return parent.calibrator.recalibrated(update.intercept, update.slope), update


def _point(
    config: CalibrateConfig, parent: DecisionPolicy, scores: Scores, calibrator: Calibrator, keep: bool
) -> OperatingPoint:
    if not keep:
        return choose(config, scores, calibrator)
    words = f"none; the threshold is that of policy {parent.policy_id}, chosen elsewhere"
    return measured_at(parent.threshold_logit, scores, config.delta, words)


def _why(update: Update, largest: Step, scores: Scores) -> str:
    tests = "; ".join(
        f"{_WORDS[one.smaller]} against {_WORDS[largest]}: likelihood ratio {one.statistic:.2f} on {one.degrees} "
        f"degree{'s' if one.degrees > 1 else ''} of freedom, p {one.p:.2g}"
        for one in update.tests
    )
    groups = _groups(scores)
    shrunk = ""
    if update.shrinkage is not None:
        shrunk = f" (slope {update.slope:.2f}, shrunk from {update.fitted_slope:.2f})"
    few = ""
    if largest != "intercept_and_slope":
        few = f"; a slope needs {NEEDED['intercept_and_slope']} groups of each class and was not tried"
    return (
        f"{_WORDS[update.step]}{shrunk}, by closed testing on {groups['malignant']} malignant and "
        f"{groups['benign']} benign groups: {tests}{few}"
    )


@dataclass(frozen=True)
class _Predicted:
    """A rule's probabilities and decisions on the site's images."""

    probability: Floats
    malignant: npt.NDArray[np.bool_]


def _counts(scores: Scores) -> Counts:
    groups = _groups(scores)
    return Counts(
        n=len(scores),
        malignant=int(scores.label.sum()),
        groups=group_codes(scores.group_id)[1],
        malignant_groups=groups["malignant"],
        benign_groups=groups["benign"],
    )


def _cross_fitted(
    config: CalibrateConfig, parent: DecisionPolicy, scores: Scores, largest: Step, keep: bool
) -> tuple[int, _Predicted]:
    """The whole procedure, closed test and threshold, repeated without each fold of groups and used on that fold.

    A bound that all groups together just carry is not carried by fewer: `lower_bound` takes in each fold the threshold
    that finds the share of malignant lesions that it needed on all of them.
    """
    groups = _groups(scores)
    folds = min(_FOLDS, *groups.values(), _pure_groups(scores))
    fold = deal_folds(scores.group_id, scores.label, folds, order_by_seed(config.seed))
    bound = config.operating_point == "lower_bound" and not keep
    share = share_to_find(config, scores) if bound else 0.0
    probability, malignant = np.empty(len(scores)), np.empty(len(scores), bool)
    for k in range(folds):
        inside = np.flatnonzero(fold == k)
        rest = scores.take(np.flatnonzero(fold != k))
        calibrator, _ = _calibrator(parent, rest, largest)
        if keep:
            threshold = parent.threshold_logit
        elif bound:
            threshold = threshold_finding(share, rest)
        else:
            threshold = choose(config, rest, calibrator).threshold_logit
        probability[inside] = calibrator.probability(scores.logit[inside])
        malignant[inside] = scores.logit[inside] >= threshold
    return folds, _Predicted(probability, malignant)


def _pure_groups(scores: Scores) -> int:
    """Groups without a malignant image: what folds are dealt of, beside the malignant ones."""
    return len(np.setdiff1d(scores.group_id, scores.group_id[scores.label == 1]))


def _measured(predicted: _Predicted, scores: Scores, resamples: int, seed: int) -> SiteFigures:
    """Calibration, sensitivity and specificity, each figure with its group-bootstrap interval."""
    y, p = scores.label.astype(np.float64), predicted.probability
    codes, groups = group_codes(scores.group_id)
    intercept, slope = calibration_line(p, y, codes, groups, resamples, seed)
    counts = np.hstack(list(group_counts(groups, resamples, seed))).astype(np.float64)
    size = np.bincount(codes, minlength=groups)

    def mean(each: Floats) -> Estimate:
        resampled = np.bincount(codes, each, minlength=groups) @ counts / (size @ counts)
        return Estimate.of(percentile(float(each.mean()), resampled, rarer(codes, scores.label)))

    def share(label: int, right: npt.NDArray[np.bool_]) -> Estimate:
        rows = scores.label == label
        return Estimate.of(group_share(right[rows], group_codes(scores.group_id[rows]), resamples, seed))

    return SiteFigures(
        calibration_in_the_large=Estimate.of(intercept),
        slope=Estimate.of(slope),
        log_loss=mean(log_losses(y, p)),
        brier=mean((p - y) ** 2),
        sensitivity=share(1, predicted.malignant),
        specificity=share(0, ~predicted.malignant),
        calibration_error=calibration_error(y, p),
    )
