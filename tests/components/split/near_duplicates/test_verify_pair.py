"""The last look: photographs taken one after the other are one picture, like shapes are not."""

import csv

import cv2
import numpy as np
import pytest

from components.common.imaging.inspect import inspect
from components.common.imaging.thumbnail import make_thumbnail
from components.split.near_duplicates.match import match

# HAM10000 gives each of these pairs two lesion ids; a look at the two pictures shows one lesion.
BETWEEN_LESIONS = {
    ("ISIC_0034283", "ISIC_0032740"),
    ("ISIC_0027027", "ISIC_0029036"),
    ("ISIC_0027636", "ISIC_0027994"),
    ("ISIC_0026560", "ISIC_0031838"),
    ("ISIC_0032647", "ISIC_0027689"),
    ("ISIC_0033421", "ISIC_0033481"),
    ("ISIC_0033173", "ISIC_0029152"),
    ("ISIC_0034248", "ISIC_0034228"),
    ("ISIC_0033374", "ISIC_0033417"),
}


def lesion(seed, texture=14.0):
    """A blot with an inner pattern on faintly mottled skin, [300, 400, 3]."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:300, :400].astype(np.float32)
    blot = np.exp(-((((y - 150) / 80) ** 2 + ((x - 200) / 95) ** 2) ** 2))
    coarse, fine = (
        cv2.resize(random.normal(0, 1, (n, n * 4 // 3)).astype(np.float32), (400, 300), interpolation=cv2.INTER_CUBIC)
        for n in (12, 40)
    )
    value = 1.0 - 0.5 * blot + (coarse + fine) * texture / 255 * (0.35 + blot)
    return np.clip(value[..., None] * np.array([215.0, 165.0, 150.0]), 0, 255).astype(np.uint8)


def pressed(image, pixels, light=(1.0, 1.0, 1.0)):
    """The lesion photographed again: skin moved aside by up to `pixels` towards the edge, in another light."""
    y, x = np.mgrid[:300, :400].astype(np.float32)
    far = np.clip(np.hypot((y - 150) / 150, (x - 200) / 200) - 0.45, 0, None)
    random = np.random.default_rng(9)
    way = [
        cv2.resize(random.uniform(-1, 1, (4, 5)).astype(np.float32), (400, 300), interpolation=cv2.INTER_CUBIC)
        for _ in range(2)
    ]
    moved = cv2.remap(
        image,
        x + 2 * pixels * far * way[0],
        y + 2 * pixels * far * way[1],
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT,
    )
    return np.clip(moved * np.array(light), 0, 255).astype(np.uint8)


def pairs(images):
    left, right, distance = match([make_thumbnail(np.ascontiguousarray(image)) for image in images])
    return dict(zip(zip(left.tolist(), right.tolist(), strict=True), distance.tolist(), strict=True))


@pytest.mark.parametrize("seed", range(6))
def test_the_skin_may_move_round_the_lesion(seed):
    one = lesion(seed)
    found = pairs([one, pressed(one, 30)])
    assert list(found) == [(0, 1)]
    assert found[0, 1] > 0.15  # as a whole they do not lie on each other


def test_another_light_makes_it_another_photograph():
    one = lesion(1)
    assert pairs([one, pressed(one, 30, (1.0, 0.9, 0.98))]) == {}


def test_lesions_of_one_shape_in_one_light_are_not_one():
    assert pairs([lesion(seed) for seed in range(30)]) == {}
    assert pairs([lesion(seed, texture=8.0) for seed in range(30)]) == {}


@pytest.mark.parametrize("seed", range(3))
def test_plain_skin_with_a_dark_corner_is_not_one_picture_with_other_such_skin(seed):
    """The rim of the dermatoscope is all that is to be seen: such pictures would all be joined to one group."""
    y, x = np.mgrid[:300, :400].astype(np.float32)
    random = np.random.default_rng(seed)

    def skin(radius):
        rim = 1.0 / (1.0 + np.exp((np.hypot(y - 40, x - 60) - radius) / 25))
        grain = random.normal(0, 0.6, (300, 400))
        return np.clip(rim[..., None] * np.array([205.0, 190.0, 175.0]) + grain[..., None], 0, 255).astype(np.uint8)

    assert pairs([skin(300), skin(304), skin(300)]) == {}


@pytest.mark.real
def test_what_the_reference_data_gives_two_ids(reference_data):
    with (reference_data / "HAM10000_metadata.csv").open() as handle:
        table = list(csv.DictReader(handle))
    files = {path.stem: path for path in reference_data.glob("HAM10000_images_part_*/*.jpg")}
    thumbnails = [inspect(files[row["image_id"]].read_bytes(), "a.jpg").thumbnail for row in table]
    left, right, _ = match(thumbnails)
    found = {
        (table[a]["image_id"], table[b]["image_id"])
        for a, b in zip(left.tolist(), right.tolist(), strict=True)
        if table[a]["lesion_id"] != table[b]["lesion_id"]
    }
    assert found == BETWEEN_LESIONS
    assert len(left) > 450  # the rest are photographs of one lesion under one id
