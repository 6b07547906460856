from collections import defaultdict
from fractions import Fraction

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from components.split.strata import levels

# word, stratum of each row: a few words, so that groups have several rows and some of them several strata
rows = st.lists(st.tuples(st.sampled_from([0, 1, 2, 3, 2**63, 2**64 - 1, 77, 78]), st.integers(0, 3)), min_size=1)
WHOLE = [(1, 0), (1, 0), (2, 0), (9, 1)]


def by_hand(pairs, cuts):
    """Levels with exact fractions, group by group."""
    highest = defaultdict(int)
    for word, stratum in pairs:
        highest[word] = max(highest[word], stratum)
    out = {}
    for stratum in set(highest.values()):
        before, total = 0, sum(highest[word] == stratum for word, _ in pairs)
        for word in sorted(word for word, own in highest.items() if own == stratum):
            size = sum(one == word for one, _ in pairs)
            place = Fraction(2 * before + size, 2 * total)
            out[word] = sum(cut <= place for cut in cuts)
            before += size
    return [out[word] for word, _ in pairs]


def arrays(pairs):
    return np.array([word for word, _ in pairs], np.uint64), np.array([stratum for _, stratum in pairs], np.uint8)


@settings(max_examples=300, deadline=None)
@given(rows, st.lists(st.sampled_from([Fraction(i, 16) for i in range(17)]), max_size=4))
@example(WHOLE, [Fraction(1, 2)])
def test_levels_are_those_found_by_hand(pairs, cuts):
    received = levels(*arrays(pairs), 1.0, np.array(sorted(cuts), np.float64))
    assert received.tolist() == by_hand(pairs, cuts)


@settings(max_examples=100, deadline=None)
@given(rows, st.sampled_from([2, 4, 8]))
def test_places_may_be_scaled(pairs, scale):
    received = levels(*arrays(pairs), scale, np.arange(1.0, scale))
    assert received.tolist() == by_hand(pairs, [Fraction(i, scale) for i in range(1, scale)])


@settings(max_examples=100, deadline=None)
@given(rows, st.data())
def test_the_order_of_the_rows_decides_nothing_even_where_hashes_agree(pairs, data):
    order = data.draw(st.permutations(range(len(pairs))))
    cuts = np.array([0.3, 0.7])
    received = levels(*arrays(pairs), 1.0, cuts)
    assert levels(*arrays([pairs[i] for i in order]), 1.0, cuts).tolist() == received[order].tolist()


def test_a_group_of_two_strata_counts_to_the_higher_one():
    pairs = [(5, 0), (5, 2), (1, 0), (9, 2), (9, 2)]
    assert levels(*arrays(pairs), 1.0, np.array([0.5])).tolist() == [0, 0, 1, 1, 1]


def test_hashes_that_differ_in_the_last_bit_are_two_groups():
    pairs = [(2**63, 0)] * 3 + [(2**63 + 1, 0)] * 3
    assert levels(*arrays(pairs), 1.0, np.array([0.5])).tolist() == [0, 0, 0, 1, 1, 1]


def test_many_groups_have_exact_shares():
    random = np.random.default_rng(0)
    word = random.integers(0, 2**64, 40_000, np.uint64)[random.integers(0, 40_000, 100_000)]
    stratum = (word % np.uint64(7)).astype(np.uint8)
    level = levels(word, stratum, 1.0, np.array([0.7, 0.85]))
    for one in range(7):
        share = np.bincount(level[stratum == one], minlength=3) / (stratum == one).sum()
        assert np.abs(share - [0.7, 0.15, 0.15]).max() < 0.001
