import cv2
import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from components.common.imaging.inspect import inspect
from components.common.imaging.pixels import encode_jpeg
from components.common.imaging.thumbnail import make_thumbnail, read_thumbnail
from components.split.near_duplicates.anchors import SCALES, find_anchors, working_image
from components.split.near_duplicates.match import match


def picture(seed, height=150, width=200):
    """Skin with a blot, spots and hairs: structure at every size, as on a lesion."""
    random = np.random.default_rng(seed)
    layers = []
    for rows, strength in ((3, 12), (8, 7), (40, 7)):
        noise = random.normal(0, strength, (rows, rows * 4 // 3, 3)).astype(np.float32)
        layers.append(cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC))
    y, x = np.mgrid[:height, :width]
    middle, size = random.uniform(0.4, 0.6, 2) * (height, width), random.uniform(0.15, 0.3, 2) * height
    blot = np.exp(-((((y - middle[0]) / size[0]) ** 2 + ((x - middle[1]) / size[1]) ** 2) ** 2))[..., None]
    image = np.clip(190 - blot * random.uniform(60, 120, 3) + sum(layers), 0, 255).astype(np.uint8)
    for _ in range(6):
        ends = random.integers(0, 150, 4).tolist()
        cv2.line(image, ends[:2], ends[2:], random.integers(20, 90, 3).tolist(), 1, cv2.LINE_AA)
    return image


def recoded(image, quality):
    return cv2.imdecode(np.frombuffer(encode_jpeg(image, quality), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def cut(image, left, top, right, bottom):
    height, width = image.shape[:2]
    x, y = round(left * width), round(top * height)
    return image[y : height - round(bottom * height), x : width - round(right * width)]


def brightened(image, factor):
    return np.clip(image * factor, 0, 255).astype(np.uint8)


CHANGES = {
    "quality 50": lambda a: recoded(a, 50),
    "a third": lambda a: cv2.resize(a, (66, 50), interpolation=cv2.INTER_AREA),
    "turned 90": np.rot90,
    "turned 180": lambda a: np.rot90(a, 2),
    "turned 270": lambda a: np.rot90(a, 3),
    "mirrored": lambda a: a[:, ::-1],
    "flipped": lambda a: a[::-1],
    "cut all round": lambda a: cut(a, 0.05, 0.05, 0.05, 0.05),
    "cut at a corner": lambda a: cut(a, 0.1, 0.1, 0, 0),
    "cut at one side": lambda a: cut(a, 0, 0, 0, 0.1),
    "brighter": lambda a: brightened(a, 1.15),
    "darker": lambda a: brightened(a, 0.85),
    "turned, cut, brighter, recoded": lambda a: recoded(brightened(np.rot90(cut(a, 0.1, 0, 0, 0)), 1.1), 60),
}


@pytest.fixture(scope="module")
def originals():
    return [picture(seed) for seed in range(24)]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_changed_copies_are_found_and_nothing_else(originals, change):
    copies = [np.ascontiguousarray(CHANGES[change](image)) for image in originals]
    left, right, distance = match([make_thumbnail(image) for image in (*originals, *copies)])
    n = len(originals)
    found = set(zip(left.tolist(), right.tolist(), strict=True))
    assert found <= {(i, i + n) for i in range(n)}
    assert len(found) >= n - 2
    assert ((distance >= 0) & (distance < 0.2)).all()


def test_a_crowd_of_copies_is_joined_whole(originals):
    """More copies of one picture than one anchor has neighbours, among others."""
    random = np.random.default_rng(0)
    levels = random.uniform(0.9, 1.1, 150)
    copies = [recoded(brightened(originals[0], level), int(random.integers(60, 95))) for level in levels]
    left, right, _ = match([make_thumbnail(image) for image in (*copies, *originals[1:])])
    n = len(copies)
    assert (left < n).all() and (right < n).all()
    joined = connected_components(coo_array((np.ones(len(left)), (left, right)), (n, n)), directed=False)[0]
    assert joined <= 3  # of 150: a copy or two may be missed, the crowd may not fall apart


def test_the_number_of_threads_changes_nothing(originals, monkeypatch):
    thumbnails = [make_thumbnail(image) for image in (*originals, *(np.ascontiguousarray(a[::-1]) for a in originals))]
    found = []
    for cores in (1, 3):
        monkeypatch.setattr("components.split.near_duplicates.match.usable_cores", lambda cores=cores: cores)
        monkeypatch.setattr("components.split.near_duplicates.match._BLOCK", (5, 16_000))
        found.append(match(thumbnails))
    assert len(found[0][0]) >= 22
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_signatures_do_not_notice_turning_and_mirroring(originals):
    images = [np.ascontiguousarray(change(originals[0])) for change in (lambda a: a, np.rot90, lambda a: a[:, ::-1])]
    whole, *turned = (
        find_anchors([np.ascontiguousarray(working_image(make_thumbnail(image)))], SCALES[0]) for image in images
    )
    for one in turned:
        apart = np.linalg.norm(whole.signature[:, None] - one.signature[None], axis=2).min(axis=1)
        assert np.median(apart) < 0.1


@pytest.mark.parametrize("value", [0, 128, 255])
def test_pictures_of_nothing_match_nothing(value):
    blank = make_thumbnail(np.full((60, 80, 3), value, np.uint8))
    assert len(match([blank] * 5)[0]) == 0
    assert len(match([])[0]) == len(match([blank])[0]) == 0


def test_blocks_of_pictures_of_nothing_change_nothing(originals, monkeypatch):
    monkeypatch.setattr("components.split.near_duplicates.match._BLOCK", (4, 4))
    blank = make_thumbnail(np.full((60, 80, 3), 128, np.uint8))
    two = [make_thumbnail(originals[2]), make_thumbnail(np.ascontiguousarray(originals[2][::-1]))]
    left, right, _ = match([blank] * 9 + two[:1] + [blank] * 8 + two[1:])
    assert list(zip(left.tolist(), right.tolist(), strict=True)) == [(9, 18)]


def test_shapes_may_differ(originals):
    odd = np.ascontiguousarray(originals[1][:, :64])
    thumbnails = [make_thumbnail(image) for image in (originals[0], odd, np.ascontiguousarray(np.rot90(odd)))]
    left, right, _ = match(thumbnails)
    assert list(zip(left.tolist(), right.tolist(), strict=True)) == [(1, 2)]


@pytest.mark.parametrize(("side", "levels"), [(150, 3.5), (450, 2.2), (601, 2.2)])  # stretched: 5.1, 3.1, 3.7
def test_the_thumbnail_of_a_turned_copy_is_the_turned_thumbnail(side, levels):
    image = picture(3, height=side, width=side * 4 // 3)
    turned = np.ascontiguousarray(image[::-1, ::-1])
    one, other = (read_thumbnail(inspect(encode_jpeg(a, 95), "a.jpg").thumbnail) for a in (image, turned))
    assert np.abs(one.astype(int) - other[::-1, ::-1]).mean() < levels


def test_long_narrow_pictures_are_looked_at_too():
    tall = [picture(seed, height=2400, width=60) for seed in range(16)]
    thumbnails = [make_thumbnail(image) for image in (*tall, *(np.ascontiguousarray(one[::-1]) for one in tall))]
    assert len(find_anchors([working_image(one) for one in thumbnails], SCALES[0]).image) > 0


def test_a_thumbnail_is_small_and_keeps_the_aspect(originals):
    data = make_thumbnail(originals[0])
    assert read_thumbnail(data).shape == (48, 64, 3)
    assert len(data) < 4000
    assert read_thumbnail(make_thumbnail(originals[0][:20, :30])).shape == (20, 30, 3)


@pytest.mark.real
@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_changed_copies_of_real_lesions_are_found(reference_data, change):
    files = sorted((reference_data / "HAM10000_images_part_1").glob("*.jpg"))[::80]
    images = [cv2.imread(str(file))[..., ::-1] for file in files]
    copies = [np.ascontiguousarray(CHANGES[change](image)) for image in images]
    left, right, _ = match([make_thumbnail(image) for image in (*images, *copies)])
    n = len(images)
    found = set(zip(left.tolist(), right.tolist(), strict=True))
    assert found <= {(i, i + n) for i in range(n)}
    assert len(found) >= 0.95 * n
