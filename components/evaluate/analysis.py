"""From scores and a policy to every number of the report: the content of metrics.json."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from components.common.artifacts.estimate import DelongEstimate, Estimate
from components.common.artifacts.metrics import (
    Abstain,
    LesionLevel,
    Method,
    Metrics,
    OperatingPoint,
    Refused,
    Size,
    SweepRow,
    Threshold,
    ValidationLevel,
    plain,
)
from components.common.artifacts.policy import DecisionPolicy
from components.common.artifacts.scores import Scores
from components.common.statistics.delong import clustered_auc
from components.common.statistics.intervals import LEVEL, percentile, proportion, rarer
from components.common.statistics.numeric import Floats
from components.common.statistics.ranking import Ranking
from components.common.statistics.resampling import group_codes, group_counts
from components.evaluate import operating
from components.evaluate.calibration import calibration_metrics
from components.evaluate.champion import compare
from components.evaluate.conformal import prediction_sets
from components.evaluate.members import gain_over_members
from components.evaluate.shortcuts import shortcut_metrics
from components.evaluate.subgroups import Columns, pooled, slices

SWEEP = (0.005, *(round(0.01 * k, 2) for k in range(1, 20)), *(round(0.05 * k, 2) for k in range(4, 20)))


@dataclass(frozen=True)
class Settings:
    """What the numbers depend on besides the scores."""

    resamples: int = 2000
    seed: int = 0


@dataclass(frozen=True)
class Inputs:
    """Scores and what belongs to them.

    Attributes:
        test: test scores, probabilities calibrated.
        columns: (n,) slice and control columns of the test images.
        policy: the decision policy.
        val: validation scores, raw; None if not at hand.
        champion: another model's test scores; None for no comparison.
        test_probs_sha256: sha256 of the file the test scores came from.
    """

    test: Scores
    columns: Columns
    policy: DecisionPolicy
    val: Scores | None = None
    champion: Scores | None = None
    test_probs_sha256: str = ""


def analyse(inputs: Inputs, settings: Settings) -> Metrics:
    """Every figure of the report."""
    test, policy, b, seed = inputs.test, inputs.policy, settings.resamples, settings.seed
    codes, groups = group_codes(test.group_id)
    decided, threshold = test.decided_by(test.logit), np.array([policy.threshold_logit])
    calls = operating.count_calls(decided, threshold, test.label, codes, groups, resamples=b, seed=seed)
    interval, error = clustered_auc(test.logit, test.label, codes, groups)
    gained = gain_over_members(inputs.columns, test, b, seed)
    return Metrics(
        policy_id=policy.policy_id,
        method=Method(
            resamples=b,
            seed=seed,
            level=LEVEL,
            interval="expanded percentile bootstrap over lesion groups; ranking by the raw logit",
        ),
        threshold=Threshold(
            probability=policy.threshold_probability,
            logit=policy.threshold_logit,
            operating_point=OperatingPoint.model_validate(dict(policy.operating_point)),
            calibrator=policy.calibrator.name,
            logit_offset=policy.calibrator.offset,
        ),
        **_figures(test.logit, test, calls, b, seed),
        delong=DelongEstimate.of(interval, standard_error=error),
        calibration=calibration_metrics(test.probability, test.label, codes, groups, b, seed),
        lesion_level=_lesion_level(test, policy, b, seed),
        sweep=_sweep(test, b, seed),
        decision_curve=operating.decision_curve(test.decided_by(test.probability), test.label, codes, groups, b, seed),
        prevalence_table=operating.prevalence_table(calls, policy.threshold_probability, policy.prevalence),
        slices=slices(test, inputs.columns, policy.threshold_logit, b, seed),
        shortcuts=shortcut_metrics(test, inputs.columns, b, seed),
        abstain=_abstain(test, policy),
        refused=_refused(test, inputs.columns, b, seed),
        prediction_sets=prediction_sets(inputs.val, test, policy, b, seed) if inputs.val is not None else [],
        validation=_validation(inputs.val, policy, b, seed) if inputs.val is not None else None,
        champion=compare(test, inputs.champion, b, seed) if inputs.champion is not None else None,
        **({"ensemble": gained} if gained else {}),
        test_probs_sha256=inputs.test_probs_sha256,
        val_probs_sha256=policy.val_probs_sha256,
    )


def _figures(score: Floats, scores: Scores, calls: operating.Calls, resamples: int, seed: int) -> dict[str, Any]:
    """The fields of `Figures`: size, ranking, rates and counts."""
    return {
        **plain(_size(scores)),
        **_ranking(score, scores, resamples, seed),
        **plain(operating.rates(calls)),
        "confusion": operating.confusion(calls),
    }


def _size(scores: Scores) -> Size:
    malignant = scores.label == 1
    return Size(
        n=len(scores),
        malignant=int(malignant.sum()),
        groups=len(np.unique(scores.group_id)),
        malignant_groups=len(np.unique(scores.group_id[malignant])),
        lesions=len(np.unique(scores.lesion_id)),
        prevalence=float(malignant.mean()),
    )


def _ranking(score: Floats, scores: Scores, resamples: int, seed: int) -> dict[str, Estimate]:
    """The fields of `RankingFigures`, by their names in metrics.json."""
    codes, groups = group_codes(scores.group_id)
    ranking = Ranking(score, scores.label, codes, groups)
    value, drawn = ranking.value(), ranking.resampled(resamples, seed)
    units = rarer(codes, scores.label)
    out = {name: Estimate.of(percentile(value[name], drawn[name], units)) for name in value}
    # (AP - pi) / (1 - pi), pi the prevalence of the same resample: 0 is chance, 1 is perfect
    pi = float(scores.label.mean())
    if 0 < pi < 1:
        everything = np.array([-np.inf])
        calls = operating.count_calls(score, everything, scores.label, codes, groups, resamples=resamples, seed=seed)
        share = calls.positives / (calls.positives + calls.negatives)
        with np.errstate(divide="ignore", invalid="ignore"):
            resampled = (drawn["average_precision"] - share[1:]) / (1 - share[1:])
        normalised = (value["average_precision"] - pi) / (1 - pi)
        out["average_precision_normalised"] = Estimate.of(percentile(normalised, resampled, units))
    return out


def by_lesion(scores: Scores) -> Scores:
    """One row per lesion: mean probability, its logit column the mean raw logit, malignant if any image is.

    Refused images take no part in the means; a lesion is refused where all its images are.
    """
    refused = scores.not_dermoscopy
    if refused.any():
        accepted = np.isin(scores.lesion_id, scores.lesion_id[~refused])
        scores = scores.take(np.flatnonzero(~refused | ~accepted))
    names, first, codes, counts = np.unique(
        scores.lesion_id, return_index=True, return_inverse=True, return_counts=True
    )
    label = np.zeros(len(names), np.int8)
    np.maximum.at(label, codes, scores.label)
    return Scores(
        image_id=names,
        lesion_id=names,
        group_id=scores.group_id[first],
        label=label,
        logit=np.bincount(codes, weights=scores.logit) / counts,
        probability=np.clip(np.bincount(codes, weights=scores.probability) / counts, 0, 1),
        refused=scores.refused if scores.refused is None else scores.refused[first],
    )


def _lesion_level(test: Scores, policy: DecisionPolicy, resamples: int, seed: int) -> LesionLevel:
    lesions = by_lesion(test)
    codes, groups = group_codes(lesions.group_id)
    threshold = np.array([policy.threshold_probability])  # the image threshold, on the mean probability
    calls = operating.count_calls(
        lesions.decided_by(lesions.probability), threshold, lesions.label, codes, groups, resamples=resamples, seed=seed
    )
    return LesionLevel(
        aggregation="mean probability of a lesion's images",
        **_figures(lesions.probability, lesions, calls, resamples, seed),
    )


def _sweep(test: Scores, resamples: int, seed: int) -> list[SweepRow]:
    codes, groups = group_codes(test.group_id)
    calls = operating.count_calls(
        test.decided_by(test.probability), np.array(SWEEP), test.label, codes, groups, resamples=resamples, seed=seed
    )
    rows = []
    for k, threshold in enumerate(SWEEP):
        found = operating.rates(calls, k)
        rows.append(
            SweepRow(
                threshold=threshold,
                sensitivity=found.sensitivity,
                specificity=found.specificity,
                predicted_positive_rate=found.predicted_positive_rate,
                ppv=found.ppv,
                npv=found.npv,
            )
        )
    return rows


def _abstain(test: Scores, policy: DecisionPolicy) -> Abstain | None:
    if not policy.abstain:
        return None
    low, high = policy.abstain["low"], policy.abstain["high"]
    referred = ((test.probability > low) & (test.probability < high)) | test.not_dermoscopy
    predicted = policy.decide(test.logit)

    def right(kind: int, decided: npt.NDArray[np.bool_]) -> float | None:
        among = ~referred & (test.label == kind)
        return float(decided[among].mean()) if among.any() else None

    return Abstain(
        low=low,
        high=high,
        referred=int(referred.sum()),
        share=float(referred.mean()),
        sensitivity_of_the_rest=right(1, predicted),
        specificity_of_the_rest=right(0, ~predicted),
    )


def _refused(test: Scores, columns: Columns, resamples: int, seed: int) -> Refused | None:
    if test.refused is None:
        return None
    refused = test.refused
    codes, groups = group_codes(test.group_id)
    counted = np.zeros((2, groups))
    np.add.at(counted[0], codes, refused)
    np.add.at(counted[1], codes, 1)
    drawn = np.hstack([counted @ c for c in group_counts(groups, resamples, seed)])
    sources = {}
    if "dataset" in columns:
        source = pooled(columns["dataset"].astype(np.str_))
        sources = {
            str(one): (int(refused[source == one].sum()), int((source == one).sum())) for one in np.unique(source)
        }
    return Refused(
        images=int(refused.sum()),
        malignant=int(refused[test.label == 1].sum()),
        share=Estimate.of(proportion(float(refused.mean()), drawn[0] / drawn[1], groups)),
        groups=len(np.unique(test.group_id[refused])),
        sources=sources,
    )


def _validation(val: Scores, policy: DecisionPolicy, resamples: int, seed: int) -> ValidationLevel:
    """The same operating point on the scores it was chosen on, to see what a new set took away."""
    codes, groups = group_codes(val.group_id)
    calls = operating.count_calls(
        val.logit, np.array([policy.threshold_logit]), val.label, codes, groups, resamples=resamples, seed=seed
    )
    names = ("roc_auc", "average_precision")
    ranking = Ranking(val.logit, val.label, codes, groups)
    value, drawn = ranking.value(names), ranking.resampled(resamples, seed, names)
    auc, ap = (Estimate.of(percentile(value[name], drawn[name], rarer(codes, val.label))) for name in names)
    return ValidationLevel(
        roc_auc=auc,
        average_precision=ap,
        **plain(_size(val)),
        **plain(operating.rates(calls)),
        confusion=operating.confusion(calls),
    )
