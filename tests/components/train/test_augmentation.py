import cv2
import numpy as np
import pytest

from components.train.augmentation import (
    DRAWS,
    Augmentation,
    Augmenter,
    augmentation_draws,
    grey_tables,
    stream,
    warp_matrices,
)

NONE = Augmentation(0.0, 0.0, 0.0, False, 0.0, 0.0)


def augmented(image, how, seed=0, epoch=0, count=1, start=0):
    """`count` views of one image."""
    out = np.empty((count, *image.shape), np.uint8)
    draw = augmentation_draws(seed, epoch, start + count)[start:]
    Augmenter(image.shape[:2], how).into(out, [image] * count, draw)
    return out


def textbook(image, draw, how):
    """The same view by one call for each thing: no scratch memory, no fourth channel, no batch."""
    matrix = warp_matrices(draw[None, :6], image.shape[:2], how)[0]
    out = cv2.warpAffine(image, matrix, image.shape[1::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    gain = 1 + how.contrast * (2 * draw[6] - 1)
    shift = 127.5 * (how.brightness * (2 * draw[7] - 1) + 1 - gain)
    return np.clip(np.rint(out * gain + shift), 0, 255).astype(np.uint8)


@pytest.fixture
def image():
    return np.random.default_rng(1).integers(0, 256, (30, 40, 3)).astype(np.uint8)


@pytest.mark.parametrize("seed", [0, 5, 2**31 - 1])
@pytest.mark.parametrize("epoch", [0, 1, 999])
def test_the_numbers_of_an_image_do_not_depend_on_how_many_images_there_are(seed, epoch):
    many = augmentation_draws(seed, epoch, 1001)
    for n in (1, 2, 7, 1000):
        np.testing.assert_array_equal(augmentation_draws(seed, epoch, n), many[:n])


def test_images_epochs_seeds_and_the_order_never_share_a_number():
    drawn = [augmentation_draws(seed, epoch, 500) for seed in (1, 2) for epoch in (0, 1)]
    numbers = np.concatenate([*drawn, stream(1, 0, 1).random((500, DRAWS))])
    assert len(np.unique(numbers)) == numbers.size
    assert 0 <= numbers.min() < numbers.max() < 1


def test_the_numbers_are_those_of_philox_at_the_documented_counter():
    # what a resumed run of another release must draw, too: a change here changes the result of every training
    expected = np.random.Generator(np.random.Philox(key=3, counter=[0, 0, 2, 0])).random((4, 8))
    np.testing.assert_array_equal(augmentation_draws(3, 2, 4), expected)


def test_no_augmentation_changes_no_pixel(image):
    np.testing.assert_array_equal(augmented(image, NONE)[0], image)


def test_each_view_is_the_textbook_view_pixel_by_pixel(image):
    how = Augmentation(brightness=0.4, contrast=0.4)
    draw = augmentation_draws(1, 2, 50)
    for view, row in zip(augmented(image, how, 1, 2, count=50), draw, strict=True):
        np.testing.assert_array_equal(view, textbook(image, row, how))


def test_the_same_seed_epoch_and_position_give_the_same_image_whatever_came_before(image):
    how = Augmentation()
    first = augmented(image, how, 1, 2, start=3)[0]
    np.testing.assert_array_equal(first, augmented(image, how, 1, 2, count=4)[3])
    for other in ((2, 2, 3), (1, 3, 3), (1, 2, 4)):
        assert (augmented(image, how, other[0], other[1], start=other[2])[0] != first).any()


def test_mirrors_are_exact_and_all_four_occur(image):
    how = Augmentation(0.0, 0.0, 0.0, True, 0.0, 0.0)
    wanted = {image[::y, ::x].tobytes() for x in (1, -1) for y in (1, -1)}
    assert {view.tobytes() for view in augmented(image, how, count=60)} == wanted


def test_the_warp_turns_around_the_centre():
    matrices = warp_matrices(augmentation_draws(0, 0, 20)[:, :6], (30, 40), Augmentation(180.0, 0.5, 0.0, True))
    centre = np.array([19.5, 14.5, 1.0])
    np.testing.assert_allclose(matrices @ centre, np.tile(centre[:2], (20, 1)), atol=1e-9)


def test_scale_and_shift_stay_within_their_limits():
    how = Augmentation(180.0, 0.2, 0.05, True)
    matrices = warp_matrices(augmentation_draws(0, 0, 500)[:, :6], (30, 40), how)
    scale = np.sqrt(np.abs(np.linalg.det(matrices[:, :, :2])))
    shift = np.abs(matrices @ np.array([19.5, 14.5, 1.0]) - np.array([19.5, 14.5]))
    assert 1 / 1.2 - 1e-9 <= scale.min() < 0.85
    assert 1.18 < scale.max() <= 1.2 + 1e-9
    assert 1.9 < shift[:, 0].max() <= 2.0 + 1e-9
    assert 1.4 < shift[:, 1].max() <= 1.5 + 1e-9
    assert (np.linalg.det(matrices[:, :, :2]) < 0).mean() == pytest.approx(0.5, abs=0.1)  # one mirror, not two


def test_brightness_and_contrast_act_on_grey_levels_and_saturate():
    flat = np.full((8, 8, 3), 128, np.uint8)
    levels = set(augmented(flat, Augmentation(0.0, 0.0, 0.0, False, 0.1, 0.0), count=40)[:, 0, 0, 0].tolist())
    assert min(levels) >= 128 - 13
    assert max(levels) <= 128 + 13
    assert len(levels) > 10
    contrast = Augmentation(0.0, 0.0, 0.0, False, 0.0, 0.5)
    assert set(augmented(flat, contrast, count=20)[:, 0, 0, 0].tolist()) == {128}
    tables = grey_tables(augmentation_draws(0, 0, 50)[:, 6:], contrast)
    assert (np.diff(tables.astype(int), axis=1) >= 0).all()  # a level that ran over would fall
    assert (tables[:, 0] == 0).any()
    assert (tables[:, 0] > 0).any()


def test_no_change_of_grey_levels_needs_no_table():
    assert grey_tables(augmentation_draws(0, 0, 3)[:, 6:], NONE) is None
