"""Slices: the same figures in groups of patients, marked "insufficient" where a group has too few images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from components.common.artifacts.estimate import GradedEstimate, HasInterval
from components.common.artifacts.metrics import SliceRow
from components.common.artifacts.scores import Scores
from components.common.artifacts.slices import UNKNOWN
from components.common.statistics.age_bands import AGE_BANDS, age_band
from components.common.statistics.intervals import Interval, percentile, rarer
from components.common.statistics.numeric import Floats
from components.common.statistics.ranking import Ranking
from components.common.statistics.resampling import group_codes
from components.evaluate.operating import count_calls, rates

MINIMUM = 30
MOST = 24  # values of one slice; rarer ones are counted together
TEXT_COLUMNS = {
    "sex": "sex",
    "site": "localization",
    "dx": "dx",
    "dx_type": "dx_type",
    "source": "dataset",
    "skin_type": "skin_type",
}

Columns = Mapping[str, npt.NDArray[Any]]


def slice_values(scores: Scores, columns: Columns) -> dict[str, npt.NDArray[np.str_]]:
    """(n,) slice value of each image, by slice name; `unknown` where the table has nothing."""
    out = {}
    for name, column in TEXT_COLUMNS.items():
        if column in columns:
            out[name] = text_values(columns[column])
    if "age" in columns:
        out["age"] = age_band(columns["age"])
    _, codes, counts = np.unique(scores.lesion_id, return_inverse=True, return_counts=True)
    out["images per lesion"] = np.array(["1", "2", "3+"])[np.minimum(counts, 3) - 1][codes]
    return out


def text_values(column: npt.NDArray[Any]) -> npt.NDArray[np.str_]:
    """(n,) text of a column of the table, `unknown` where it has nothing."""
    text = column.astype(np.str_)
    return np.where(np.isin(text, ("", "nan", "None")), UNKNOWN, text)


def slices(scores: Scores, columns: Columns, threshold: float, resamples: int, seed: int) -> list[SliceRow]:
    """One row for each value of each slice, in the order a report shows them."""
    order = ["sex", "age", "site", "dx", "dx_type", "source", "skin_type", "images per lesion"]
    values = slice_values(scores, columns)
    rows = []
    for name in (n for n in order if n in values):
        values[name] = pooled(values[name])
        present, counts = np.unique(values[name], return_counts=True)
        ranked = sorted(zip(present.tolist(), counts.tolist(), strict=True), key=lambda vc: rank(name, *vc))
        for value, _ in ranked:
            rows.append(_row(name, value, scores, values[name] == value, threshold, resamples, seed))
    return rows


def pooled(values: npt.NDArray[np.str_]) -> npt.NDArray[np.str_]:
    """The most common values as they are, all others as one: a free-text column must not flood the report."""
    present, counts = np.unique(values, return_counts=True)
    if len(present) <= MOST:
        return values
    rare = present[np.argsort(-counts, kind="stable")[MOST - 1 :]]
    return np.where(np.isin(values, rare) & (values != UNKNOWN), f"{len(rare)} rarer values", values)


def rank(name: str, value: str, count: int) -> tuple[int, str]:
    """Where a value stands among those of its slice: ages in order, else the most common first; unknown last."""
    if name == "skin_type":
        return (value == UNKNOWN, value)
    if name in ("age", "images per lesion"):
        return ([*AGE_BANDS, "1", "2", "3+", UNKNOWN].index(value), value)
    return ({UNKNOWN: 2}.get(value, 1 if value.endswith(" rarer values") else -count), value)


def _row(
    name: str,
    value: str,
    scores: Scores,
    mask: npt.NDArray[np.bool_],
    threshold: float,
    resamples: int,
    seed: int,
) -> SliceRow:
    label, logit = scores.label[mask], scores.logit[mask]
    codes, groups = group_codes(scores.group_id[mask])
    malignant, benign = int((label == 1).sum()), int((label == 0).sum())
    decided = scores.decided_by(scores.logit)[mask]
    calls = count_calls(decided, np.array([threshold]), label, codes, groups, resamples=resamples, seed=seed)
    found = rates(calls)

    def graded(estimate: HasInterval, enough: bool) -> GradedEstimate:
        return GradedEstimate.of(estimate, status="ok" if enough else "insufficient")

    return SliceRow(
        slice=name,
        value=value,
        n=len(label),
        malignant=malignant,
        groups=groups,
        status="ok" if malignant >= MINIMUM else "insufficient",
        sensitivity=graded(found.sensitivity, malignant >= MINIMUM),
        specificity=graded(found.specificity, benign >= MINIMUM),
        predicted_positive_rate=graded(found.predicted_positive_rate, True),
        roc_auc=graded(auc_interval(logit, label, codes, groups, resamples, seed), min(malignant, benign) >= MINIMUM),
    )


def auc_interval(
    logit: Floats, label: npt.NDArray[np.int8], codes: npt.NDArray[np.intp], groups: int, resamples: int, seed: int
) -> Interval:
    """ROC-AUC with its group-bootstrap interval; empty where a class is absent."""
    if not 0 < label.sum() < len(label):
        return Interval(None, None, None)
    ranking = Ranking(logit, label, codes, groups)
    value = ranking.value(["roc_auc"])["roc_auc"]
    return percentile(value, ranking.resampled(resamples, seed, ["roc_auc"])["roc_auc"], rarer(codes, label))
