"""One picture, two labels: near-duplicates that the table labels differently, named before anything is trained."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd

from components.common.artifacts.index import Verdict
from components.common.runtime.errors import DataError
from components.split.audit import differ
from components.split.config import SplitConfig
from components.split.near_duplicates.find import Pairs

_SHOWN = 5

log = logging.getLogger(__name__)


def contradictory(rows: pd.DataFrame, pairs: Pairs) -> Pairs:
    """The pairs whose images have different labels."""
    return pairs.take(np.flatnonzero(differ(rows["label"], pairs)))


def settle(config: SplitConfig, rows: pd.DataFrame, found: Pairs) -> pd.DataFrame:
    """Treats pairs of near-duplicates with different labels as the parameter says, and returns the rows that stay.

    Raises:
        DataError: there is such a pair and the parameter says stop; names the pairs and the ways out.
    """
    if not len(found):
        return rows
    text = f"{len(found)} pairs of near-duplicates have different labels: {_named(rows, found)}"
    if config.contradictions == "stop":
        raise DataError(
            f"{text}; correct their diagnoses in the table, or set split.contradictions to drop (leaves both images of "
            "each pair out) or keep (if you have looked at them: they are not the same lesion, or both are to stay)"
        )
    log.warning("%s; contradictions=%s", text, config.contradictions)
    if config.contradictions == "keep":
        return rows
    return rows.drop(rows.index[np.union1d(found.left, found.right)])


def give_verdict(index: pd.DataFrame, rows: pd.DataFrame, found: Pairs) -> None:
    """Gives each image of a contradictory pair the verdict conflicting_diagnosis in the index, and names the other."""
    for here, other in ((found.left, found.right), (found.right, found.left)):
        label = rows.index[here]
        others = rows["image_id"].iloc[other].tolist()
        index.loc[label, "verdict"] = str(Verdict.CONFLICTING_DIAGNOSIS)
        index.loc[label, "reason"] = [f"a near-duplicate of {image_id}, which has another label" for image_id in others]


def _named(rows: pd.DataFrame, pairs: Pairs) -> str:
    sides = (rows.iloc[side[:_SHOWN]] for side in (pairs.left, pairs.right))
    words = ([f"{image_id} ({dx})" for image_id, dx in zip(one["image_id"], one["dx"], strict=True)] for one in sides)
    shown = ", ".join(f"{a} and {b}" for a, b in zip(*words, strict=True))
    return shown + (f", and {len(pairs) - _SHOWN} more" if len(pairs) > _SHOWN else "")
