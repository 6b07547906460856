"""What one picture may cost is bounded, whatever the others are."""

from collections import Counter

import cv2
import numpy as np
import pytest

from components.common.imaging.thumbnail import make_thumbnail
from components.split.near_duplicates.align import Candidates
from components.split.near_duplicates.anchors import SCALES, Anchors, find_anchors, working_image
from components.split.near_duplicates.candidates import _PARTNERS, _TRIES, Index, _promising


def rough(a, b, apart):
    n = len(a)
    spot, number = np.zeros((n, 2), np.float32), np.zeros(n, np.float32)
    one = Candidates(np.array(a), np.array(b), spot, spot, number, np.zeros(n, np.int64), number, np.ones(n, bool))
    return _promising(one, np.array(apart, np.float32))


def test_the_partners_with_more_and_more_alike_anchors_stay():
    partners = list(range(40))
    apart = [0.01 * i for i in partners]  # the first are the most alike
    kept = rough(partners, [50] * 40, apart)
    assert kept.a.tolist() == partners[:_PARTNERS]
    doubled = rough([0, *partners[:39], 39, 39], [50] * 42, [0.0, *apart[:39], 0.5, 0.5])
    assert 39 in doubled.a.tolist()  # two fairly alike outweigh one


def test_each_picture_has_its_own_partners_and_few_tries_each():
    kept = rough([1] * 9 + [2], [7] * 9 + [8], [0.9, 0.1, 0.8, 0.2, 0.7, 0.3, 0.6, 0.4, 0.5, 0.9])
    assert kept.b.tolist() == [7] * _TRIES + [8]
    assert kept.a.tolist() == [1] * _TRIES + [2]


def test_no_candidates_are_no_candidates():
    assert len(rough([], [], []).a) == 0


@pytest.mark.parametrize("copies", [120])
def test_a_crowd_of_copies_costs_each_of_them_a_bounded_number_of_candidates(copies):
    random = np.random.default_rng(5)
    base = cv2.resize(random.integers(60, 200, (9, 12, 3)).astype(np.uint8), (200, 150), interpolation=cv2.INTER_CUBIC)
    noisy = [np.clip(base + random.normal(0, 2, base.shape), 0, 255).astype(np.uint8) for _ in range(copies)]
    images = [working_image(make_thumbnail(one)) for one in noisy]
    anchors = find_anchors(images, SCALES[0])
    index = Index(Anchors(anchors.image, anchors.at, anchors.signature.astype(np.float16)))
    batches = list(index.candidates(images, 0))
    assert len(batches) == len(SCALES)
    for batch in batches:
        pairs = set(zip(batch.a.tolist(), batch.b.tolist(), strict=True))
        assert max(Counter(b for _, b in pairs).values(), default=0) <= _PARTNERS
        assert len(batch.a) <= _TRIES * len(pairs)
    assert len(batches[0].a) > copies
