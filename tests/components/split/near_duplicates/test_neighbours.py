"""The cells find exactly the pairs that comparing everything with everything finds."""

import numpy as np
import pytest

from components.split.near_duplicates.neighbours import Neighbours, place_in_run

SPREAD = np.array([2.0, 1.0, 0.5, 0.3, 0.2, 0.1])


def cloud(seed, n):
    return np.random.default_rng(seed).normal(0, SPREAD, (n, 6)).astype(np.float32)


def asked(known, queries):
    return [(int(a), int(b)) for q, p in known.within(queries) for a, b in zip(q, p, strict=True)]


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("seed", range(4))
def test_every_pair_within_the_radius_is_found_once(depth, seed):
    points, queries = cloud(seed, 6000), cloud(seed + 100, 500)
    found = asked(Neighbours(points, 0.4, 6000, depth), queries)
    apart = np.linalg.norm(queries[:, None] - points[None], axis=2)
    sure = {tuple(pair) for pair in np.argwhere(apart < 0.3999).tolist()}
    assert len(found) == len(set(found)) > 100
    assert sure <= set(found)
    assert all(apart[q, p] < 0.4001 for q, p in found)


@pytest.mark.parametrize("most", [1, 3, 20])
def test_where_points_crowd_each_query_gets_the_nearest(most):
    points, queries = cloud(1, 20_000), cloud(2, 600)
    found = asked(Neighbours(points, 0.4, most), queries)
    apart = np.linalg.norm(queries[:, None] - points[None], axis=2)
    within = (apart < 0.4).sum(axis=1)
    assert (within > most).sum() > 100
    for query in range(len(queries)):
        near = sorted(apart[query, p] for q, p in found if q == query)
        assert len(near) == min(within[query], most)
        assert near == pytest.approx(np.sort(apart[query])[: len(near)], abs=1e-4)


def test_queries_far_outside_find_nothing_and_do_not_reach_round_the_edge():
    points = cloud(3, 3000)
    queries = cloud(4, 200)
    for axis in range(6):
        for way in (-1, 1):
            far = queries.copy()
            far[:, axis] += way * 100
            assert asked(Neighbours(points, 0.4, 8), far) == []


def test_nothing_near_gives_nothing():
    points = np.zeros((3, 5), np.float32)
    assert list(Neighbours(points, 0.1, 8).within(points + 5)) == []


def test_no_query_finds_nothing():
    assert asked(Neighbours(cloud(5, 100), 0.4, 8), np.zeros((0, 6), np.float32)) == []


def test_equal_points_are_given_up_to_the_most():
    assert len(asked(Neighbours(np.zeros((500, 5), np.float32), 0.1, 8), np.zeros((3, 5), np.float32))) == 24


def test_places_count_anew_in_each_run():
    assert place_in_run(np.array([4, 4, 4, 1, 4, 4])).tolist() == [0, 1, 2, 0, 0, 1]
    assert place_in_run(np.zeros(0)).tolist() == []
