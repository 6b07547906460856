"""Recipes: from labels and groups to train, val and test."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from components.common.errors import DataError
from components.split.config import SplitConfig

SPLITS = ("train", "val", "test")
_ALIASES = {"train": 0, "training": 0, "val": 1, "valid": 1, "validation": 1, "test": 2, "testing": 2}
REFERENCE_SEED = 42

Codes = npt.NDArray[np.int8]


def assign(config: SplitConfig, rows: pd.DataFrame) -> tuple[Codes, npt.NDArray[np.int16] | None]:
    """Divides `rows` (image_id, group_id, dx, label; further columns for `column:NAME`) by the recipe.

    Returns:
        Position in `SPLITS` of each row, and for `kfold:K` the fold of each row.

    Raises:
        DataError: the rows cannot be divided this way.
    """
    if config.recipe == "reference":
        return reference(rows), None
    if config.column:
        return brought(rows, config.column), None
    place = quantile(rows, config.seed)
    if config.folds:
        fold = np.minimum((place * config.folds).astype(np.int16), config.folds - 1)
        ahead = (fold - config.test_fold) % config.folds
        return np.select([ahead == 0, ahead == 1], [2, 1], 0).astype(np.int8), fold
    train = 1.0 - config.val_share - config.test_share
    cuts = np.array([train, train + config.val_share])
    code: Codes = np.searchsorted(cuts, place, side="right").astype(np.int8)
    return code, None


def reference(rows: pd.DataFrame) -> Codes:
    """The published HAM10000 split (METHODS.md): 70 / 15 / 15 by lesion, stratified by label, seed 42."""
    from sklearn.model_selection import train_test_split

    label = rows.groupby("group_id")["label"].first()
    try:
        _, rest = train_test_split(label, test_size=0.30, random_state=REFERENCE_SEED, stratify=label)
        val, test = train_test_split(rest, test_size=0.5, random_state=REFERENCE_SEED, stratify=rest)
    except ValueError as error:
        raise DataError(f"recipe reference: {len(label)} lesions cannot be divided ({error})") from None
    code = pd.Series(np.int8(0), index=label.index)
    code[val.index], code[test.index] = 1, 2
    return rows["group_id"].map(code).to_numpy(np.int8)


def brought(rows: pd.DataFrame, name: str) -> Codes:
    """A split the user brings in column `name` of the index.

    Raises:
        DataError: no such column, or a value that names no split.
    """
    name = name if name in rows.columns else name.lower()  # ingest carries a table's columns in lower case
    if name not in rows.columns:
        raise DataError(f"recipe column:{name}: the index has no such column; it has {', '.join(rows.columns)}")
    code = rows[name].astype("str").str.strip().str.lower().map(_ALIASES)
    bad = code.isna()
    if bad.any():
        first = rows.loc[bad].iloc[0]
        raise DataError(
            f"recipe column:{name}: image {first['image_id']} has {first[name]!r} ({int(bad.sum())} such rows); "
            f"expected train, val or test"
        )
    return np.asarray(code, np.int8)


def quantile(rows: pd.DataFrame, seed: int) -> npt.NDArray[np.float64]:
    """The place in [0, 1) of each row's group within its stratum, groups in the order of a seeded hash.

    A group's hash depends on its id and the seed alone and its place is the share of the stratum's
    images before its middle, so cutting places at fixed numbers gives exact class shares, whatever the
    order of the rows; and rows added later shift only the groups next to a cut.
    """
    group, names = codes_of(rows["group_id"])
    order = seeded_hash(names, seed)
    stratum = _strata(rows, group, len(names))
    size = np.bincount(group, minlength=len(names))
    # one key to sort by: stratum above the upper 48 bits of the hash; two groups of one stratum with equal
    # bits (1 in 10 for ten million groups) fall back to the order of appearance, which moves next to nothing
    ranked = np.argsort((stratum.astype(np.uint64) << np.uint64(48)) | (order >> np.uint64(16)), kind="stable")
    before = np.cumsum(size[ranked]) - size[ranked]
    first = np.r_[True, np.diff(stratum[ranked]) != 0]
    base = np.maximum.accumulate(np.where(first, before, 0))
    total = np.bincount(stratum, weights=size)[stratum[ranked]]
    place = np.empty(len(names))
    place[ranked] = (before - base + 0.5 * size[ranked]) / total
    return place[group]


def codes_of(text: pd.Series) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.object_]]:
    """A number for each value in order of appearance, and the values; `pd.factorize`, several times faster."""
    encoded = pa.chunked_array([pa.array(text, pa.large_string())]).combine_chunks().dictionary_encode()
    return encoded.indices.to_numpy().astype(np.int64), encoded.dictionary.to_numpy(zero_copy_only=False)


def seeded_hash(names: npt.ArrayLike, seed: int) -> npt.NDArray[np.uint64]:
    """A 64-bit hash of each text under `seed`, the same on every machine (SipHash with a keyed seed)."""
    key = hashlib.sha256(f"lesionflow.split/{seed}".encode()).hexdigest()[:16]
    return pd.util.hash_array(np.asarray(names, dtype=object), hash_key=key, categorize=False)


def _strata(rows: pd.DataFrame, group: npt.NDArray[np.intp], n: int) -> npt.NDArray[np.int64]:
    """Stratum of each group: its diagnosis; of several, a malignant one, then the alphabetically last."""
    codes, names = codes_of(rows["dx"])
    rank = np.argsort(np.argsort(np.asarray(names, dtype=object)))  # the alphabetical place of each diagnosis
    code = rows["label"].to_numpy(np.int64) * len(names) + rank[codes]
    stratum = np.zeros(n, dtype=np.int64)
    np.maximum.at(stratum, group, code)
    return stratum
