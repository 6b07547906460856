"""Dealing whole groups into folds."""

import hashlib

import numpy as np
import pytest

from components.common.statistics.folds import TooFewGroupsError, deal_folds, order_by_hash, order_by_seed

# sha256 of the folds as int64, computed by the two dealers this one replaced
HASHED = "796c3db649e096d054b069435109066e4e53b5f4edf24b87ec52b287e701496e"
SEEDED = "b554badfa73496c96baadeb640686209de80919b83a19fd9d2c0c6c86c7d4ad9"


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(2)
    group = np.repeat(np.arange(200), rng.integers(1, 4, 200))
    return np.array([f"g{k}" for k in group]), (group % 5 == 0).astype(np.int8)


@pytest.mark.parametrize("order", [order_by_hash("a"), order_by_seed(3)], ids=["by hash", "by seed"])
def test_groups_stay_whole_and_both_classes_are_dealt_out_evenly(rows, order):
    group, label = rows
    fold = deal_folds(group, label, 5, order)
    assert len(set(zip(group, fold, strict=True))) == len(set(group))
    for kind in (0, 1):
        counts = [len(set(group[(fold == k) & (label == kind)])) for k in range(5)]
        assert max(counts) - min(counts) <= 1


def test_the_folds_of_earlier_versions_stay(rows):
    """Members of an ensemble were trained on these folds, and calibrators chosen on those."""
    group, label = rows
    for order, recorded in ((order_by_hash("lesionflow.folds"), HASHED), (order_by_seed(3), SEEDED)):
        fold = deal_folds(group, label, 5, order)
        assert hashlib.sha256(fold.astype(np.int64).tobytes()).hexdigest() == recorded


def test_a_group_with_one_malignant_row_is_malignant():
    fold = deal_folds(np.array(["a", "a", "b", "c", "d"]), np.array([1, 0, 1, 0, 0]), 2, order_by_hash("x"))
    assert fold[0] == fold[1] != fold[2]


def test_fewer_groups_than_folds_are_an_error_that_counts_them(rows):
    group, label = rows
    with pytest.raises(TooFewGroupsError, match="40 malignant groups cannot be dealt into 41 folds") as error:
        deal_folds(group, label, 41, order_by_seed(0))
    assert (error.value.kind, error.value.groups) == ("malignant", 40)
