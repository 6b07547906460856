"""Distances from the training images and the limit between them and other pictures."""

import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis
from sklearn.covariance import LedoitWolf

from components.common.statistics.outliers import distances, fit_gaussian, upper_limit


def features(n, seed=0, width=6):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, width)) @ rng.normal(size=(width, width)) + rng.normal(size=width)


def test_the_distance_is_mahalanobis_with_the_shrunk_covariance_of_standardised_features():
    known, new = features(200), features(5, seed=1)
    scaled = (known - known.mean(0)) / known.std(0)
    precision = np.linalg.inv(LedoitWolf().fit(scaled).covariance_)
    zero = np.zeros(known.shape[1])
    expected = [mahalanobis(row, zero, precision) / np.sqrt(len(zero)) for row in (new - known.mean(0)) / known.std(0)]
    found = distances([fit_gaussian(known)], [new.astype(np.float32)])
    assert found == pytest.approx(expected, rel=1e-3)


def test_depths_count_alike_whatever_their_width_and_scale():
    wide, narrow = features(300, width=12) * 1000, features(300, seed=2, width=3)
    gaussians = [fit_gaussian(wide), fit_gaussian(narrow)]
    both = [wide.astype(np.float32), narrow.astype(np.float32)]
    alone = [distances([one], [values]) for one, values in zip(gaussians, both, strict=True)]
    assert distances(gaussians, both) == pytest.approx((alone[0] + alone[1]) / 2)
    assert [one.mean() for one in alone] == pytest.approx([1, 1], abs=0.2)


def test_fewer_images_than_features_and_a_channel_that_never_moves_give_finite_distances():
    known = np.c_[features(20, width=40), np.zeros(20)]
    found = distances([fit_gaussian(known)], [np.r_[known, known[:1] + 1].astype(np.float32)])
    assert np.isfinite(found).all()
    assert found[-1] > found[:-1].max()


def test_at_most_the_accepted_share_of_new_groups_lies_beyond_the_limit():
    rng = np.random.default_rng(3)
    beyond = []
    for _ in range(300):
        centre = rng.normal(size=400)
        group = np.repeat(np.arange(400), 2).astype(np.str_)
        value = np.repeat(centre, 2) + 0.3 * rng.normal(size=800)
        old = np.repeat(rng.random(400) < 0.5, 2)
        limit = upper_limit(value[old], group[old], 0.05)
        beyond.append(np.mean([value[group == one].max() > limit for one in np.unique(group[~old])[:40]]))
    assert 0.03 < np.mean(beyond) <= 0.05


def test_a_group_counts_by_its_farthest_image_and_the_limit_lies_between_two_of_them():
    value = np.r_[np.arange(99.0), 1000.0, 0.5]
    group = np.r_[np.arange(99), 99, 99].astype(np.str_)
    assert upper_limit(value, group, 0.02) == (1000 + 98) / 2
    assert upper_limit(value, group, 0.01) == pytest.approx(1001)


def test_too_few_groups_give_no_limit():
    assert upper_limit(np.arange(98.0), np.arange(98).astype(np.str_), 0.01) is None
    assert upper_limit(np.arange(99.0), np.arange(99).astype(np.str_), 0.01) is not None
