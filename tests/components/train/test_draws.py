import numpy as np
import pytest

from components.train.draws import generator, uniform

FAR = np.array([0, 1, 2, 9_999_999, 2**31, 2**62])


@pytest.mark.parametrize("seed", [0, 5, 2**31 - 1, 2**63])
@pytest.mark.parametrize("epoch", [0, 1, 999])
@pytest.mark.parametrize("count", [1, 4, 8, 11])
def test_all_images_at_once_equal_one_numpy_generator_each(seed, epoch, count):
    expected = np.stack([generator(seed, epoch, int(i)).random(count) for i in FAR])
    np.testing.assert_array_equal(uniform(seed, epoch, FAR, count), expected)


def test_numbers_are_uniform_and_images_epochs_and_seeds_do_not_repeat_each_other():
    numbers = np.concatenate([uniform(seed, epoch, np.arange(500), 8) for seed in (1, 2) for epoch in (0, 1)])
    assert len(np.unique(numbers)) == numbers.size
    counts = np.histogram(numbers, 20, (0, 1))[0]
    assert ((counts - numbers.size / 20) ** 2 / (numbers.size / 20)).sum() < 43.8  # chi square of 19 degrees, 0.1 %
