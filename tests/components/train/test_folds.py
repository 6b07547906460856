"""Leaving a fold of the training images out."""

import numpy as np
import pytest

from components.common.runtime.errors import DataError
from components.train.folds import fold_of, leave_out
from components.train.records import CachedImages, Rows, SplitData


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(2)
    group = np.repeat(np.arange(200), rng.integers(1, 4, 200))
    label = (group % 5 == 0).astype(np.int8)
    ids = np.array([f"image{i}" for i in range(len(group))])
    names = np.array([f"g{i}" for i in group])
    pixels = np.arange(len(group), dtype=np.uint8).reshape(-1, 1, 1, 1) * np.ones((1, 2, 2, 3), np.uint8)
    return SplitData(Rows(ids, names, names, label, label.astype(np.int32)), CachedImages(pixels), True)


def test_every_image_is_left_out_by_exactly_one_member_and_groups_stay_whole(data):
    left = [leave_out(data, 4, k) for k in range(4)]
    assert sorted(name for _, out in left for name in out.rows.image_id) == sorted(data.rows.image_id)
    for kept, out in left:
        assert not set(kept.rows.group_id) & set(out.rows.group_id)
        assert len(kept.rows) + len(out.rows) == len(data.rows)
        assert out.rows.label.mean() == pytest.approx(data.rows.label.mean(), abs=0.03)


def test_images_follow_their_rows(data):
    where = {name: i for i, name in enumerate(data.rows.image_id.tolist())}
    for part in leave_out(data, 3, 1):
        for i, name in enumerate(part.rows.image_id.tolist()):
            np.testing.assert_array_equal(part.images.get(i), data.images.get(where[name]))


def test_the_division_does_not_depend_on_the_order_of_the_rows(data):
    rows, turned = data.rows, np.arange(len(data.rows))[::-1]
    other = Rows(*(getattr(rows, name)[turned] for name in ("image_id", "lesion_id", "group_id", "label", "dx")))
    np.testing.assert_array_equal(fold_of(rows, 5), fold_of(other, 5)[turned])


def test_more_folds_than_malignant_groups_are_refused(data):
    with pytest.raises(DataError, match="train has 40 malignant lesion groups, folds is 41; use fewer folds"):
        leave_out(data, 41, 0)
