"""Shortcut controls: how well the label can be guessed without looking at the skin."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from components.common.artifacts.estimate import CountedEstimate, SourceEstimate
from components.common.artifacts.metrics import Shortcuts
from components.common.artifacts.scores import Scores
from components.common.artifacts.slices import UNKNOWN
from components.common.statistics.age_bands import age_band
from components.common.statistics.intervals import Interval
from components.common.statistics.numeric import Floats
from components.common.statistics.resampling import group_codes
from components.evaluate.subgroups import Columns, auc_interval, pooled, text_values

CONTROLS = {"metadata": ("age", "sex", "localization"), "dx_type": ("dx_type",), "source": ("dataset",)}
PREFIX = "control_"


def control_scores(train: pd.DataFrame, test: pd.DataFrame) -> dict[str, Floats]:
    """(n,) logit of each control for the test rows, fitted on the training rows.

    Each is a logistic regression on one-hot categories: age band, sex and site together, `dx_type`
    alone, acquisition source alone. A control of which the training or the test rows record nothing
    is left out: its 0.500 would look like a measured absence of a shortcut. Empty where the training
    rows hold fewer than two classes.
    """
    label = train["label"].to_numpy() if len(train) else np.array([])
    if len(np.unique(label)) < 2:
        return {}
    out = {}
    for name, columns in CONTROLS.items():
        if not (_recorded(train, columns) and _recorded(test, columns)):
            continue
        model = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression(C=10.0, max_iter=1000))
        model.fit(_categories(train, columns), label)
        out[f"{PREFIX}{name}"] = np.round(model.decision_function(_categories(test, columns)), 9)
    return out


def shortcut_metrics(scores: Scores, columns: Columns, resamples: int, seed: int) -> Shortcuts:
    """AUC of each control on the test images, and the model's AUC within each source and for histology only."""
    codes, groups = group_codes(scores.group_id)
    everything = np.ones(len(scores), bool)

    def auc(score: Floats, mask: npt.NDArray[np.bool_]) -> Interval:
        part, count = (codes, groups) if mask.all() else group_codes(scores.group_id[mask])
        return auc_interval(score[mask], scores.label[mask], part, count, resamples, seed)

    def counted(score: Floats, mask: npt.NDArray[np.bool_]) -> CountedEstimate:
        return CountedEstimate.of(auc(score, mask), n=int(mask.sum()), malignant=int(scores.label[mask].sum()))

    def within(source: npt.NDArray[np.str_], name: str) -> SourceEstimate:
        mask = source == name
        found = auc(scores.logit, mask)
        return SourceEstimate.of(found, source=name, n=int(mask.sum()), malignant=int(scores.label[mask].sum()))

    parts: dict[str, Any] = {}
    if "dataset" in columns:
        source = pooled(text_values(columns["dataset"]))
        if (source != UNKNOWN).any():
            parts["within_source"] = [within(source, str(name)) for name in np.unique(source)]
    if "dx_type" in columns and (columns["dx_type"] == "histo").any():
        parts["histology_only"] = counted(scores.logit, columns["dx_type"].astype(np.str_) == "histo")
    alone = {name: counted(columns[PREFIX + name], everything) for name in CONTROLS if PREFIX + name in columns}
    return Shortcuts(alone=alone, model=counted(scores.logit, everything), **parts)


def _recorded(rows: pd.DataFrame, columns: tuple[str, ...]) -> bool:
    """Whether any row holds a value in any of the columns."""
    return any((text_values(rows[c].dropna().to_numpy()) != UNKNOWN).any() for c in columns)


def _categories(rows: pd.DataFrame, columns: tuple[str, ...]) -> npt.NDArray[Any]:
    parts = [
        age_band(rows[c].to_numpy(np.float64)) if c == "age" else rows[c].fillna("unknown").astype(str).to_numpy()
        for c in columns
    ]
    return np.column_stack([np.asarray(part, dtype=object) for part in parts])
