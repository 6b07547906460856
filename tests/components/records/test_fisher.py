import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import fisher_exact as scipy_fisher

from components.records.fisher import fisher_exact


@settings(max_examples=300, deadline=None)
@given(*[st.integers(0, 400)] * 4)
def test_fisher_agrees_with_scipy(a, b, c, d):
    assert fisher_exact(a, b, c, d) == pytest.approx(scipy_fisher([[a, b], [c, d]]).pvalue, rel=1e-6, abs=1e-12)


def test_fisher_on_the_tea():
    assert fisher_exact(3, 1, 1, 3) == pytest.approx(34 / 70)
