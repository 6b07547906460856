"""Recipes: from labels and groups to train, val and test."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from components.common.artifacts.split import SPLITS
from components.common.runtime.errors import DataError
from components.split.config import SplitConfig
from components.split.reference import reference_split

_ALIASES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}


def assign(config: SplitConfig, rows: pd.DataFrame) -> tuple[pd.Series, pd.Series | None]:
    """Divides `rows` by the recipe.

    Args:
        config: recipe, seed and shares.
        rows: image_id, group_id, dx and label of each image, and the column of `column:NAME`.

    Returns:
        train, val or test of each image, and for `kfold:K` its fold; both labelled as `rows`.

    Raises:
        DataError: the rows cannot be divided this way.
    """
    if config.recipe == "reference":
        return reference_split(rows), None
    if config.column:
        return brought(rows, config.column), None
    place = places(rows, config.seed)
    if config.folds:
        fold = np.digitize(place * config.folds, np.arange(1, config.folds))
        ahead = (fold - config.test_fold) % config.folds
        return _named(np.select([ahead == 0, ahead == 1], [2, 1], 0), rows.index), pd.Series(fold, rows.index)
    train = 1.0 - config.val_share - config.test_share
    return _named(np.digitize(place, [train, train + config.val_share]), rows.index), None


def places(rows: pd.DataFrame, seed: int) -> pd.Series:
    """Each row's place in [0, 1): the share of its stratum's rows that lie before the middle of its group.

    Groups of a stratum stand in the order of a hash of their names. So a place depends on neither the order of the
    rows nor, but for groups next to a cut, on rows added later, and cutting places at fixed numbers gives exact
    shares. The stratum is the diagnosis; a group of several counts to the highest one, where malignant diagnoses are
    above benign ones and later ones in the alphabet above earlier ones.
    """
    dx = pd.Categorical(rows["dx"])
    stratum = rows["label"].astype(np.int64) * len(dx.categories) + dx.codes
    groups = stratum.groupby(rows["group_id"]).agg(["max", "size"])
    groups = groups.assign(hash=seeded_hash(groups.index.to_list(), seed)).sort_values(["max", "hash"])
    sizes = groups.groupby("max")["size"]
    place = (sizes.cumsum() - 0.5 * groups["size"]) / sizes.transform("sum")
    return rows["group_id"].map(place)


def brought(rows: pd.DataFrame, name: str) -> pd.Series:
    """A split the user brings in column `name` of the index.

    Raises:
        DataError: no such column, or a value that names no split.
    """
    name = name if name in rows else name.lower()  # ingest carries a table's columns in lower case
    if name not in rows:
        raise DataError(f"recipe column:{name}: the index has no such column; it has {', '.join(map(str, rows))}")
    split = rows[name].str.strip().str.lower().map(_ALIASES)
    bad = rows[split.isna()]
    if len(bad):
        image, received = bad[["image_id", name]].iloc[0]
        raise DataError(
            f"recipe column:{name}: image {image} has {received!r} ({len(bad)} such rows); expected train, val or test"
        )
    return split


def seeded_hash(names: Sequence[str], seed: int) -> npt.NDArray[np.uint64]:
    """A 64-bit hash of each text under `seed`, the same on every machine (SipHash with a keyed seed)."""
    key = hashlib.sha256(f"lesionflow.split/{seed}".encode()).hexdigest()[:16]
    return pd.util.hash_array(np.asarray(names, dtype=object), hash_key=key, categorize=False)


def _named(code: npt.NDArray[Any], index: pd.Index) -> pd.Series:
    return pd.Series(np.array(SPLITS)[code], index, dtype="str")
