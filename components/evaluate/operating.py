"""Figures of a threshold: confusion counts, rates, decision curve, other prevalences."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.stats import beta

from components.common.artifacts.estimate import Estimate
from components.common.artifacts.metrics import Confusion, NetBenefit, PrevalenceRow, Rates
from components.common.statistics.intervals import percentile, proportion
from components.common.statistics.numeric import Floats, logit_of, sigmoid
from components.common.statistics.resampling import Codes, group_counts

PREVALENCES = (0.005, 0.02, 0.05, 0.10, 0.195)
NET_BENEFIT_THRESHOLDS = tuple(round(0.01 * k, 2) for k in range(1, 51))


@dataclass(frozen=True)
class Calls:
    """True and false positives at T thresholds, for the data and for B group resamples.

    Attributes:
        tp: (T, 1 + B) malignant images predicted malignant; column 0 is the data as it is.
        fp: (T, 1 + B) benign images predicted malignant.
        positives: (1 + B,) malignant images.
        negatives: (1 + B,) benign images.
        positive_groups: groups with a malignant image.
        negative_groups: groups with a benign image.
        called_groups: (T,) groups with an image predicted malignant.
        cleared_groups: (T,) groups with an image predicted benign.
    """

    tp: Floats
    fp: Floats
    positives: Floats
    negatives: Floats
    positive_groups: int
    negative_groups: int
    called_groups: npt.NDArray[np.int64]
    cleared_groups: npt.NDArray[np.int64]


def count_calls(
    score: Floats,
    thresholds: Floats,
    label: npt.NDArray[np.int8],
    codes: Codes,
    groups: int,
    *,
    resamples: int,
    seed: int,
) -> Calls:
    """Counts rows with score >= each of (T,) thresholds, on the data and on the resamples that `seed` gives."""
    order = np.argsort(thresholds)
    t, malignant = len(order), label == 1
    passed = np.searchsorted(np.asarray(thresholds)[order], score, side="right")  # thresholds at or below the score
    row = passed + np.where(malignant, 0, t + 1)
    matrix = csr_array((np.ones(len(row), np.int32), (row, codes)), shape=(2 * t + 2, groups))
    blocks = [matrix @ np.ones((groups, 1), np.int32)]
    blocks += [matrix @ c for c in group_counts(groups, resamples, seed)]
    exactly = np.hstack(blocks).astype(np.float64)
    above = [np.cumsum(part[::-1], axis=0)[::-1] for part in (exactly[: t + 1], exactly[t + 1 :])]
    place = np.argsort(order)
    lowest, highest = np.full(groups, t), np.zeros(groups, np.intp)
    np.minimum.at(lowest, codes, passed)
    np.maximum.at(highest, codes, passed)
    called = np.array([np.sum(highest > k) for k in place], np.int64)
    cleared = np.array([np.sum(lowest <= k) for k in place], np.int64)
    return Calls(
        tp=above[0][1:][place],
        fp=above[1][1:][place],
        positives=above[0][0],
        negatives=above[1][0],
        positive_groups=len(np.unique(codes[malignant])),
        negative_groups=len(np.unique(codes[~malignant])),
        called_groups=called,
        cleared_groups=cleared,
    )


def rates(calls: Calls, k: int = 0) -> Rates:
    """The rates of threshold `k`, each with its interval."""
    tp, fp, p, n = calls.tp[k], calls.fp[k], calls.positives, calls.negatives
    called, everything = int(calls.called_groups[k]), calls.positive_groups + calls.negative_groups

    def share(values: Floats, groups: int) -> Estimate:
        return Estimate.of(proportion(float(values[0]), values[1:], groups))

    def other(values: Floats, groups: int) -> Estimate:
        return Estimate.of(percentile(float(values[0]), values[1:], groups))

    with np.errstate(divide="ignore", invalid="ignore"):
        return Rates(
            sensitivity=share(tp / p, calls.positive_groups),
            specificity=share(1 - fp / n, calls.negative_groups),
            predicted_positive_rate=other((tp + fp) / (p + n), everything),
            ppv=share(tp / (tp + fp), called),
            npv=share((n - fp) / (n - fp + p - tp), int(calls.cleared_groups[k])),
            number_needed_to_biopsy=other(np.where(tp > 0, (tp + fp) / tp, np.nan), called),
            accuracy=other((tp + n - fp) / (p + n), everything),
        )


def confusion(calls: Calls, k: int = 0) -> Confusion:
    """Counts of threshold `k` on the data as it is."""
    tp, fp = int(calls.tp[k, 0]), int(calls.fp[k, 0])
    return Confusion(tp=tp, fp=fp, fn=int(calls.positives[0]) - tp, tn=int(calls.negatives[0]) - fp)


def decision_curve(
    probability: Floats, label: npt.NDArray[np.int8], codes: Codes, groups: int, resamples: int, seed: int
) -> list[NetBenefit]:
    """Net benefit TP/n - FP/n * t/(1-t) beside treat-all and treat-none (0).

    Vickers 2006, doi:10.1177/0272989X06295361.
    """
    t = np.array(NET_BENEFIT_THRESHOLDS)[:, None]
    calls = count_calls(probability, t[:, 0], label, codes, groups, resamples=resamples, seed=seed)
    n = calls.positives + calls.negatives
    benefit = calls.tp / n - calls.fp / n * (t / (1 - t))
    units = min(calls.positive_groups, calls.negative_groups)
    everyone = calls.positives[0] / n[0] - calls.negatives[0] / n[0] * (t[:, 0] / (1 - t[:, 0]))
    return [
        NetBenefit.of(percentile(float(row[0]), row[1:], units), threshold=float(at), treat_all=float(all_))
        for at, row, all_ in zip(t[:, 0], benefit, everyone, strict=True)
    ]


def prevalence_table(calls: Calls, threshold: float, prevalence: float) -> list[PrevalenceRow]:
    """PPV, NPV and referrals per malignant lesion found if malignancy were as common as pi'.

    Sensitivity and specificity are taken to hold (label shift); the probability a model should then
    show is sigmoid(logit p + logit pi' - logit pi).

    Args:
        calls: counts whose first threshold is the operating point.
        threshold: that threshold on the calibrated scale.
        prevalence: pi, the malignant share on which probabilities were calibrated.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        sensitivity = _unsure(calls.tp[0] / calls.positives, calls.positive_groups)
        false_alarm = _unsure(calls.fp[0] / calls.negatives, calls.negative_groups)
    units = min(calls.positive_groups, calls.negative_groups)
    table = []
    for pi in PREVALENCES:
        found, alarms = sensitivity * pi, false_alarm * (1 - pi)
        shifted = sigmoid(logit_of(np.array(threshold)) + logit_of(np.array(pi)) - logit_of(np.array(prevalence)))
        with np.errstate(divide="ignore", invalid="ignore"):
            row = PrevalenceRow(
                prevalence=pi,
                threshold_probability_shifted=float(shifted),
                ppv=_around(found / (found + alarms), units),
                npv=_around((1 - pi - alarms) / (1 - pi - alarms + pi - found), units),
                referrals_per_cancer=_around(np.where(found > 0, (found + alarms) / found, np.nan), units),
                referred_per_1000=_around(1000 * (found + alarms), units),
                missed_per_1000=_around(1000 * (pi - found), units),
            )
        table.append(row)
    return table


def _unsure(share: Floats, groups: int) -> Floats:
    """Resamples that are all 0 or all 1 replaced by a Beta whose tails are Clopper-Pearson's.

    Resampling 40 found of 40 always finds 40, and no malignant lesion would ever be missed at any prevalence.
    """
    if not len(share) > 1 or share[0] not in (0.0, 1.0):
        return share
    spread: Floats = beta.ppf((np.arange(len(share) - 1) + 0.5) / (len(share) - 1), groups, 1)
    return np.asarray(np.r_[share[0], spread if share[0] == 1.0 else 1 - spread], np.float64)


def _around(values: Floats, units: int) -> Estimate:
    """The interval of resampled `values[1:]`, widened where needed to hold its own value `values[0]`."""
    found = percentile(float(values[0]), values[1:], units)
    if found.value is None or found.lower is None or found.upper is None:
        return Estimate.of(found)
    return Estimate(value=found.value, lower=min(found.lower, found.value), upper=max(found.upper, found.value))
