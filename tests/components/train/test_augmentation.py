import numpy as np
import pytest

from components.train.augmentation import Augmentation, augment, generator, warp_matrix

NONE = Augmentation(0.0, 0.0, 0.0, False, 0.0, 0.0)


@pytest.fixture
def image():
    return np.random.default_rng(1).integers(0, 256, (30, 40, 3)).astype(np.uint8)


def test_no_augmentation_changes_no_pixel(image):
    np.testing.assert_array_equal(augment(image, generator(1, 2, 3), NONE), image)


def test_the_same_seed_epoch_and_position_give_the_same_image(image):
    how = Augmentation()
    first = augment(image, generator(1, 2, 3), how)
    np.testing.assert_array_equal(first, augment(image, generator(1, 2, 3), how))
    for other in (generator(2, 2, 3), generator(1, 3, 3), generator(1, 2, 4)):
        assert (augment(image, other, how) != first).any()


def test_mirrors_are_exact_and_all_four_occur(image):
    how = Augmentation(0.0, 0.0, 0.0, True, 0.0, 0.0)
    wanted = {image[::y, ::x].tobytes() for x in (1, -1) for y in (1, -1)}
    seen = {augment(image, generator(0, 0, i), how).tobytes() for i in range(60)}
    assert seen == wanted


def test_the_warp_turns_around_the_centre():
    how = Augmentation(180.0, 0.5, 0.0, True)
    centre = np.array([19.5, 14.5, 1.0])
    for seed in range(20):
        matrix = warp_matrix(np.random.default_rng(seed).random(6), (30, 40), how)
        np.testing.assert_allclose(matrix @ centre, centre[:2], atol=1e-9)


def test_scale_and_shift_stay_within_their_limits():
    how = Augmentation(180.0, 0.2, 0.05, True)
    for seed in range(200):
        matrix = warp_matrix(np.random.default_rng(seed).random(6), (30, 40), how)
        scale = np.sqrt(abs(np.linalg.det(matrix[:, :2])))
        shift = matrix @ np.array([19.5, 14.5, 1.0]) - np.array([19.5, 14.5])
        assert 1 / 1.2 - 1e-9 <= scale <= 1.2 + 1e-9
        assert abs(shift[0]) <= 2.0 + 1e-9
        assert abs(shift[1]) <= 1.5 + 1e-9


def test_brightness_and_contrast_act_on_grey_levels_and_saturate():
    flat = np.full((8, 8, 3), 128, np.uint8)
    brightness = Augmentation(0.0, 0.0, 0.0, False, 0.1, 0.0)
    levels = {int(augment(flat, generator(0, 0, i), brightness)[0, 0, 0]) for i in range(40)}
    assert min(levels) >= 128 - 13
    assert max(levels) <= 128 + 13
    assert len(levels) > 10
    contrast = Augmentation(0.0, 0.0, 0.0, False, 0.0, 0.5)
    assert {int(augment(flat, generator(0, 0, i), contrast)[0, 0, 0]) for i in range(20)} == {128}
    assert augment(np.full((4, 4, 3), 255, np.uint8), generator(0, 0, 1), Augmentation()).dtype == np.uint8
