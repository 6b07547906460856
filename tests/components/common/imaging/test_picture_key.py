"""Picture keys: copies are known again, other pictures are not taken for copies."""

import cv2
import numpy as np
import pytest

from components.common.bundle.selftest import generated_image
from components.common.imaging.picture_key import LIMIT, nearest, picture_keys
from components.common.imaging.pixels import encode_jpeg
from components.common.imaging.thumbnail import make_thumbnail, read_thumbnail


def key_of(rgb):
    return picture_keys([make_thumbnail(np.ascontiguousarray(rgb))])


def cropped(rgb, share):
    down, across = int(share * rgb.shape[0]), int(share * rgb.shape[1])
    return rgb[down : rgb.shape[0] - down, across : rgb.shape[1] - across]


def photograph(seed):
    """A spot on skin with the uneven light and the marks that a photograph has and a drawing lacks."""
    rng = np.random.default_rng(seed)
    marks = cv2.GaussianBlur(rng.normal(0, 1, (450, 600)).astype(np.float32), (0, 0), 14)
    light = 60 * marks / np.abs(marks).max()
    return np.clip(generated_image(seed) + light[..., None], 0, 255).astype(np.uint8)


COPIES = {
    "encoded again": lambda rgb: read_thumbnail(encode_jpeg(rgb, 50)),
    "halved": lambda rgb: cv2.resize(rgb, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "made square": lambda rgb: cv2.resize(rgb, (224, 224), interpolation=cv2.INTER_AREA),
    "mirrored": lambda rgb: rgb[:, ::-1],
    "turned a quarter": np.rot90,
    "turned and mirrored": lambda rgb: np.rot90(rgb[::-1], 3),
    "brighter": lambda rgb: np.clip(rgb * 1.1, 0, 255).astype(np.uint8),
    "cropped by a hundredth": lambda rgb: cropped(rgb, 0.01),
}


@pytest.mark.parametrize("copy", COPIES)
def test_a_copy_is_known_again(copy):
    originals = [photograph(seed) for seed in range(6)]
    known = np.concatenate([key_of(one) for one in originals])
    row, distance = nearest(np.concatenate([key_of(COPIES[copy](one)) for one in originals]), known)
    assert row.tolist() == list(range(6))
    assert (distance <= LIMIT).all()


def test_another_picture_is_not_taken_for_a_copy():
    known = np.concatenate([key_of(photograph(seed)) for seed in range(30)])
    _, distance = nearest(np.concatenate([key_of(photograph(seed)) for seed in range(100, 130)]), known)
    assert distance.min() > LIMIT


def test_images_without_thumbnail_or_structure_are_near_to_nothing():
    nothing = picture_keys([b"", make_thumbnail(np.zeros((60, 80, 3), np.uint8))])
    assert not nothing.any()
    known = np.concatenate([nothing, key_of(photograph(1))])
    row, distance = nearest(np.concatenate([nothing, key_of(photograph(1))]), known)
    assert distance.tolist() == [256, 256, 0]
    assert row[2] == 2


def test_the_same_bits_in_any_batch():
    keys = np.random.default_rng(0).integers(0, 256, (5000, 32), np.uint8)
    row, distance = nearest(keys[:3000], keys)
    assert row.tolist() == list(range(3000))
    assert not distance.any()
