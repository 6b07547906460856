import numpy as np

from components.common.statistics.age_bands import age_band


def test_age_bands_and_unknown_ages():
    ages = np.array([0.0, 5, 39.9, 40, 59, 60, 79, 80, 95, np.nan, np.inf, -1])
    expected = ["unknown", "<40", "<40", "40-59", "40-59", "60-79", "60-79", "80+", "80+", *3 * ["unknown"]]
    assert age_band(ages).tolist() == expected
