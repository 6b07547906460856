"""Dealing groups into folds: whole groups, class by class, so that every fold holds its share of malignant ones.

Stratified group k-fold in its simplest form: each class is put in an order and dealt out like cards. `order_by_hash`
gives the same folds whenever the names are the same, `order_by_seed` other folds for each seed.

    >>> import numpy as np
    >>> groups = np.array(["a", "a", "b", "c", "d"])
    >>> deal_folds(groups, np.array([1, 1, 0, 0, 1]), 2, order_by_hash("example"))
    array([0, 0, 0, 1, 1])
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Order = Callable[[npt.NDArray[np.str_]], npt.NDArray[np.intp]]


class TooFewGroupsError(ValueError):
    """A class has fewer groups than there are folds."""

    def __init__(self, kind: str, groups: int, folds: int) -> None:
        super().__init__(f"{groups} {kind} groups cannot be dealt into {folds} folds")
        self.kind, self.groups = kind, groups


def order_by_hash(prefix: str) -> Order:
    """An order that depends on the names alone: that of the sha256 of `prefix/name`."""

    def order(names: npt.NDArray[np.str_]) -> npt.NDArray[np.intp]:
        return np.argsort(np.array([hashlib.sha256(f"{prefix}/{name}".encode()).hexdigest() for name in names]))

    return order


def order_by_seed(seed: int) -> Order:
    """A random order; the classes of one deal are shuffled one after the other by the same generator."""
    rng = np.random.default_rng(seed)
    return lambda names: rng.permutation(len(names))


def deal_folds(
    group_id: npt.NDArray[np.str_], label: npt.NDArray[np.int8], folds: int, order: Order
) -> npt.NDArray[np.intp]:
    """(n,) fold of each row, from 0: no group crosses folds, each class of groups is dealt out evenly.

    A group with any malignant row counts as malignant.

    Args:
        group_id: (n,) group of each row.
        label: (n,) 1 = malignant.
        folds: how many folds.
        order: puts the names of one class of groups, given sorted, in the order they are dealt in.

    Raises:
        TooFewGroupsError: a class has fewer groups than folds.
    """
    names, codes = np.unique(group_id, return_inverse=True)
    malignant = np.zeros(len(names), bool)
    malignant[codes[label == 1]] = True
    fold = np.empty(len(names), np.intp)
    for kind, members in (("malignant", np.flatnonzero(malignant)), ("benign", np.flatnonzero(~malignant))):
        if len(members) < folds:
            raise TooFewGroupsError(kind, len(members), folds)
        fold[members[order(names[members])]] = np.arange(len(members)) % folds
    return fold[codes]
