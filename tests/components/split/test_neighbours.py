"""The cells find exactly the pairs that comparing everything with everything finds."""

import numpy as np
import pytest

from components.split.neighbours import Neighbours


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("seed", range(4))
def test_every_pair_within_the_radius_is_found_once(depth, seed):
    random = np.random.default_rng(seed)
    spread = np.array([2.0, 1.0, 0.5, 0.3, 0.2, 0.1])
    points, queries = (random.normal(0, spread, (n, 6)).astype(np.float32) for n in (700, 500))
    found = [pair for q, p in Neighbours(points, 0.4, depth).within(queries) for pair in zip(q, p, strict=True)]
    apart = np.linalg.norm(queries[:, None] - points[None], axis=2)
    sure = {tuple(pair) for pair in np.argwhere(apart < 0.3999).tolist()}
    assert len(found) == len(set(found)) > 100
    assert sure <= {(int(q), int(p)) for q, p in found}
    assert all(apart[q, p] < 0.4001 for q, p in found)


def test_nothing_near_gives_nothing():
    points = np.zeros((3, 5), np.float32)
    assert list(Neighbours(points, 0.1).within(points + 5)) == []
