"""Recipes: from labels and groups to train, val and test."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from components.common.runtime.errors import DataError
from components.common.siphash import hash_texts
from components.split.config import SplitConfig
from components.split.division import Codes, labels
from components.split.strata import Strata, levels
from components.split.texts import encode, in_order

_ALIASES = {"train": 0, "training": 0, "val": 1, "valid": 1, "validation": 1, "test": 2, "testing": 2}
REFERENCE_SEED = 42


def assign(config: SplitConfig, rows: pa.Table) -> tuple[Codes, npt.NDArray[np.int16] | None]:
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
    word, stratum = seeded_hash(rows["group_id"], config.seed), _strata(rows)
    if config.folds:
        fold = levels(word, stratum, config.folds, np.arange(1.0, config.folds))
        ahead = (fold - config.test_fold) % config.folds
        return np.select([ahead == 0, ahead == 1], [2, 1], 0).astype(np.int8), fold
    train = 1.0 - config.val_share - config.test_share
    return levels(word, stratum, 1.0, np.array([train, train + config.val_share])).astype(np.int8), None


def reference(rows: pa.Table) -> Codes:
    """The published HAM10000 split (METHODS.md): 70 / 15 / 15 by lesion, stratified by label, seed 42."""
    from sklearn.model_selection import train_test_split

    group = encode(rows["group_id"])
    order = in_order(pa.chunked_array([group.names]))
    by_name = np.arange(len(group.names)) if order is None else order
    label = labels(rows)[group.first()[by_name]]
    try:
        _, rest = train_test_split(
            np.arange(len(label)), test_size=0.30, random_state=REFERENCE_SEED, stratify=label
        )  # fmt: skip
        val, test = train_test_split(rest, test_size=0.5, random_state=REFERENCE_SEED, stratify=label[rest])
    except ValueError as error:
        raise DataError(f"recipe reference: {len(label)} lesions cannot be divided ({error})") from None
    code = np.zeros(len(label), np.int8)
    code[by_name[val]], code[by_name[test]] = 1, 2
    return code[group.codes]


def brought(rows: pa.Table, name: str) -> Codes:
    """A split the user brings in column `name` of the index.

    Raises:
        DataError: no such column, or a value that names no split.
    """
    name = name if name in rows.column_names else name.lower()  # ingest carries a table's columns in lower case
    if name not in rows.column_names:
        raise DataError(f"recipe column:{name}: the index has no such column; it has {', '.join(rows.column_names)}")
    value, names = encode(rows[name])
    code = np.array([_ALIASES.get(str(one).strip().lower(), -1) for one in names.to_pylist()], np.int8)[value]
    bad = np.flatnonzero(code < 0)
    if len(bad):
        image, received = (rows[column][int(bad[0])].as_py() for column in ("image_id", name))
        raise DataError(
            f"recipe column:{name}: image {image} has {received!r} ({len(bad)} such rows); expected train, val or test"
        )
    return code


def seeded_hash(names: pa.ChunkedArray | Sequence[str], seed: int) -> npt.NDArray[np.uint64]:
    """A 64-bit hash of each text under `seed`, the same on every machine (SipHash with a keyed seed)."""
    key = hashlib.sha256(f"lesionflow.split/{seed}".encode()).hexdigest()[:16]
    return hash_texts(names, key.encode())


def _strata(rows: pa.Table) -> Strata:
    """Stratum of each row: its diagnosis. Malignant ones are above, then the alphabetically last."""
    codes, names = encode(rows["dx"])
    rank = np.argsort(np.argsort(np.array([one or "" for one in names.to_pylist()], object)))
    kind = np.min_scalar_type(2 * len(names))  # one byte if it can be: sorted in no time
    stratum: Strata = labels(rows).astype(kind) * kind.type(len(names)) + rank.astype(kind)[codes]
    return stratum
