"""From scores and a policy to every number of the report: the content of metrics.json."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from components.common.artifacts.policy import DecisionPolicy
from components.common.artifacts.scores import Scores
from components.common.statistics.delong import clustered_auc
from components.common.statistics.intervals import LEVEL, Interval, as_dicts, percentile, rarer
from components.common.statistics.numeric import Floats
from components.common.statistics.ranking import Ranking
from components.common.statistics.resampling import group_codes
from components.evaluate import operating
from components.evaluate.calibration import calibration_metrics
from components.evaluate.champion import compare
from components.evaluate.conformal import prediction_sets
from components.evaluate.shortcuts import shortcut_metrics
from components.evaluate.subgroups import Columns, slices

SCHEMA = "lesionflow.metrics/1"
SWEEP = (0.005, *(round(0.01 * k, 2) for k in range(1, 20)), *(round(0.05 * k, 2) for k in range(4, 20)))


@dataclass(frozen=True)
class Settings:
    """What the numbers depend on besides the scores.

    Attributes:
        resamples: bootstrap resamples of groups.
        seed: of every resample.
    """

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
    """

    test: Scores
    columns: Columns
    policy: DecisionPolicy
    val: Scores | None = None
    champion: Scores | None = None


def analyse(inputs: Inputs, settings: Settings) -> dict[str, Any]:
    """Every number of the report; see METHODS for their definitions."""
    test, policy, b, seed = inputs.test, inputs.policy, settings.resamples, settings.seed
    codes, groups = group_codes(test.group_id)
    calls = operating.count_calls(
        test.logit, np.array([policy.threshold_logit]), test.label, codes, groups, resamples=b, seed=seed
    )
    interval, error = clustered_auc(test.logit, test.label, codes, groups)
    out: dict[str, Any] = {
        "schema": SCHEMA,
        "policy_id": policy.policy_id,
        "method": {
            "resamples": b,
            "seed": seed,
            "level": LEVEL,
            "interval": "expanded percentile bootstrap over lesion groups; ranking by the raw logit",
        },
        "threshold": {
            "probability": policy.threshold_probability,
            "logit": policy.threshold_logit,
            "operating_point": dict(policy.operating_point),
            "calibrator": policy.calibrator.name,
            "logit_offset": policy.calibrator.offset,
        },
        **_size(test),
        **as_dicts(_ranking(test.logit, test, b, seed)),
        "delong": {**interval.as_dict(), "standard_error": error},
        **as_dicts(operating.rates(calls)),
        "confusion": operating.confusion(calls),
        "calibration": calibration_metrics(test.probability, test.label, codes, groups, b, seed),
        "lesion_level": _lesion_level(test, policy, b, seed),
        "sweep": _sweep(test, b, seed),
        "decision_curve": operating.decision_curve(test.probability, test.label, codes, groups, b, seed),
        "prevalence_table": operating.prevalence_table(calls, policy.threshold_probability, policy.prevalence),
        "slices": slices(test, inputs.columns, policy.threshold_logit, b, seed),
        "shortcuts": shortcut_metrics(test, inputs.columns, b, seed),
        "abstain": _abstain(test, policy),
        "prediction_sets": prediction_sets(inputs.val, test, policy, b, seed) if inputs.val is not None else [],
        "validation": _validation(inputs.val, policy, b, seed) if inputs.val is not None else None,
        "champion": compare(test, inputs.champion, b, seed) if inputs.champion is not None else None,
    }
    return out


def _size(scores: Scores) -> dict[str, Any]:
    malignant = scores.label == 1
    return {
        "n": len(scores),
        "malignant": int(malignant.sum()),
        "groups": len(np.unique(scores.group_id)),
        "malignant_groups": len(np.unique(scores.group_id[malignant])),
        "lesions": len(np.unique(scores.lesion_id)),
        "prevalence": float(malignant.mean()),
    }


def _ranking(score: Floats, scores: Scores, resamples: int, seed: int) -> dict[str, Interval]:
    codes, groups = group_codes(scores.group_id)
    ranking = Ranking(score, scores.label, codes, groups)
    value, drawn = ranking.value(), ranking.resampled(resamples, seed)
    units = rarer(codes, scores.label)
    out = {name: percentile(value[name], drawn[name], units) for name in value}
    # (AP - pi) / (1 - pi), pi the prevalence of the same resample: 0 is chance, 1 is perfect
    pi = float(scores.label.mean())
    if 0 < pi < 1:
        calls = operating.count_calls(score, np.array([-np.inf]), scores.label, codes, groups,
                                      resamples=resamples, seed=seed)  # fmt: skip
        share = calls.positives / (calls.positives + calls.negatives)
        with np.errstate(divide="ignore", invalid="ignore"):
            resampled = (drawn["average_precision"] - share[1:]) / (1 - share[1:])
        out["average_precision_normalised"] = percentile((value["average_precision"] - pi) / (1 - pi), resampled, units)
    return out


def by_lesion(scores: Scores) -> Scores:
    """One row a lesion: mean probability, its logit column the mean raw logit, malignant if any image is."""
    names, first, codes, counts = np.unique(
        scores.lesion_id, return_index=True, return_inverse=True, return_counts=True
    )
    label = np.zeros(len(names), np.int8)
    np.maximum.at(label, codes, scores.label)
    return Scores(
        names, names, scores.group_id[first], label,
        np.bincount(codes, weights=scores.logit) / counts,
        np.clip(np.bincount(codes, weights=scores.probability) / counts, 0, 1),
    )  # fmt: skip


def _lesion_level(test: Scores, policy: DecisionPolicy, resamples: int, seed: int) -> dict[str, Any]:
    lesions = by_lesion(test)
    codes, groups = group_codes(lesions.group_id)
    # decided on the mean probability, with the image threshold
    calls = operating.count_calls(
        lesions.probability, np.array([policy.threshold_probability]), lesions.label, codes, groups,
        resamples=resamples, seed=seed,
    )  # fmt: skip
    return {
        "aggregation": "mean probability of a lesion's images",
        **_size(lesions),
        **as_dicts(_ranking(lesions.probability, lesions, resamples, seed)),
        **as_dicts(operating.rates(calls)),
        "confusion": operating.confusion(calls),
    }


def _sweep(test: Scores, resamples: int, seed: int) -> list[dict[str, Any]]:
    codes, groups = group_codes(test.group_id)
    thresholds = np.array(SWEEP)
    calls = operating.count_calls(
        test.probability, thresholds, test.label, codes, groups, resamples=resamples, seed=seed
    )
    wanted = ("sensitivity", "specificity", "predicted_positive_rate", "ppv", "npv")
    return [
        {"threshold": t, **{name: v.as_dict() for name, v in operating.rates(calls, k).items() if name in wanted}}
        for k, t in enumerate(SWEEP)
    ]


def _abstain(test: Scores, policy: DecisionPolicy) -> dict[str, Any] | None:
    if not policy.abstain:
        return None
    low, high = policy.abstain["low"], policy.abstain["high"]
    referred = (test.probability > low) & (test.probability < high)
    rest = ~referred
    called = policy.decide(test.logit)
    out: dict[str, Any] = {"low": low, "high": high, "referred": int(referred.sum()), "share": float(referred.mean())}
    for name, k, right in (("sensitivity", 1, called), ("specificity", 0, ~called)):
        among = rest & (test.label == k)
        out[f"{name}_of_the_rest"] = float(right[among].mean()) if among.any() else None
    return out


def _validation(val: Scores, policy: DecisionPolicy, resamples: int, seed: int) -> dict[str, Any]:
    """The same operating point on the scores it was chosen on, to see what a new set took away."""
    codes, groups = group_codes(val.group_id)
    calls = operating.count_calls(
        val.logit, np.array([policy.threshold_logit]), val.label, codes, groups, resamples=resamples, seed=seed
    )
    names = ("roc_auc", "average_precision")
    ranking = Ranking(val.logit, val.label, codes, groups)
    value, drawn = ranking.value(names), ranking.resampled(resamples, seed, names)
    return {
        **_size(val),
        **as_dicts({name: percentile(value[name], drawn[name], rarer(codes, val.label)) for name in names}),
        **as_dicts(operating.rates(calls)),
        "confusion": operating.confusion(calls),
    }
