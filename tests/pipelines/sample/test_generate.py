"""The sample is the same for the same seed, looks like its table says, and breaks exactly what it was asked to."""

import csv
import hashlib
import json
import math

import cv2
import numpy as np
import pytest

from components.common.imaging.inspect import decode_rgb, inspect
from components.common.runtime.errors import ArtifactError, ConfigError
from pipelines.sample import generate
from pipelines.sample.drawing import draw_patch, take_picture
from pipelines.sample.generate import make_sample
from pipelines.sample.looks import draw_looks
from pipelines.sample.population import COLUMNS, diagnosis_counts, population

MALIGNANT = ("mel", "bcc", "akiec")


def digest(folder):
    whole = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        whole.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return whole.hexdigest()


def rows_of(folder):
    with (folder / "metadata.csv").open(newline="") as handle:
        return list(csv.DictReader(handle))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_sample(tmp_path_factory.mktemp("made") / "sample", 60, 7)


def test_the_table_has_ham10000s_columns_and_names_every_file(made):
    rows = rows_of(made.path)
    assert tuple(rows[0]) == COLUMNS
    assert {f"{row['image_id']}.jpg" for row in rows} == {path.name for path in made.folder.iterdir()}
    assert made.images == len(rows)
    assert len({row["lesion_id"] for row in rows}) == 60


def test_images_are_whole_jpegs_of_the_stated_size(made):
    for path in made.folder.iterdir():
        seen = inspect(path.read_bytes(), path.name)
        assert (seen.verdict, seen.width, seen.height, seen.channels) == ("ok", 200, 150, 3)


def test_a_seed_gives_the_same_bytes_however_the_work_is_divided(tmp_path, monkeypatch):
    monkeypatch.setattr(generate, "_IN_PROCESS", 0)
    first = make_sample(tmp_path / "a", 30, 3, workers=1)
    second = make_sample(tmp_path / "b", 30, 3, workers=2)
    other = make_sample(tmp_path / "c", 30, 4, workers=1)
    assert digest(first.path) == digest(second.path) != digest(other.path)


def test_a_sample_is_replaced_and_anything_else_is_left_alone(tmp_path):
    make_sample(tmp_path / "out", 3, 1)
    again = make_sample(tmp_path / "out", 2, 1)
    assert len({row["lesion_id"] for row in rows_of(again.path)}) == 2
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "photo.jpg").write_bytes(b"dear to me")
    with pytest.raises(ArtifactError, match="already exists and is not a sample"):
        make_sample(tmp_path / "mine", 3, 1)
    assert (tmp_path / "mine" / "photo.jpg").read_bytes() == b"dear to me"
    assert not list(tmp_path.glob(".*partial"))


@pytest.mark.parametrize(("lesions", "seed"), [(0, 1), (5, -1)])
def test_impossible_sizes_are_refused(tmp_path, lesions, seed):
    with pytest.raises(ConfigError, match=f"received {lesions} and {seed}"):
        make_sample(tmp_path / "out", lesions, seed)


def test_faults_need_enough_images(tmp_path):
    with pytest.raises(ConfigError, match="--faults: needs 24 images"):
        make_sample(tmp_path / "out", 5, 1, faults=True)
    assert list(tmp_path.iterdir()) == []


def test_planted_faults_are_listed_and_nothing_else_differs(tmp_path):
    clean, broken = make_sample(tmp_path / "clean", 40, 2), make_sample(tmp_path / "broken", 40, 2, faults=True)
    assert json.loads((broken.path / "sample.json").read_text())["faults"] == broken.faults
    assert len(broken.faults) == 11
    planted = {one for ids in broken.faults.values() for one in ids}
    for path in clean.folder.iterdir():
        if path.stem not in planted:
            assert (broken.folder / path.name).read_bytes() == path.read_bytes()
    changed = {row["image_id"] for row in rows_of(broken.path) if row not in rows_of(clean.path)}
    assert changed <= planted


def test_the_turned_image_is_upright_again_when_exif_is_read(tmp_path):
    clean, broken = make_sample(tmp_path / "clean", 40, 2), make_sample(tmp_path / "broken", 40, 2, faults=True)
    name = f"{broken.faults['exif_rotated'][0]}.jpg"
    data = (broken.folder / name).read_bytes()
    stored = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    assert stored.shape == (200, 150, 3)
    assert np.abs(decode_rgb(data).astype(int) - decode_rgb((clean.folder / name).read_bytes())).mean() < 4


@pytest.mark.parametrize("lesions", [1, 7, 19, 20, 100, 1500, 7470])
def test_diagnoses_come_in_ham10000s_shares(lesions):
    counts = diagnosis_counts(lesions)
    assert sum(counts.values()) == lesions
    assert min(counts.values()) >= (1 if lesions >= 20 else 0)
    if lesions >= 1500:
        assert counts["nv"] / lesions == pytest.approx(5403 / 7470, abs=0.001)
    if lesions == 7470:
        assert counts == {"nv": 5403, "bkl": 727, "mel": 614, "bcc": 327, "akiec": 228, "vasc": 98, "df": 73}


def test_the_population_has_the_real_tables_traits():
    people = population(4000, 1)
    malignant = [lesion for lesion in people if lesion.dx in MALIGNANT]
    benign = [lesion for lesion in people if lesion.dx not in MALIGNANT]
    assert {lesion.dx_type for lesion in malignant} == {"histo"}
    assert {lesion.dx_type for lesion in benign} == {"histo", "follow_up", "consensus", "confocal"}
    images = sum(lesion.images for lesion in people)
    assert images / 4000 == pytest.approx(10015 / 7470, rel=0.04)
    assert sum(lesion.images for lesion in malignant) / images == pytest.approx(0.195, abs=0.025)
    ages = [lesion.age for lesion in people if not math.isnan(lesion.age)]
    assert 0 < 4000 - len(ages) < 80
    assert all(age % 5 == 0 and 5 <= age <= 85 for age in ages)
    assert {lesion.sex for lesion in people} == {"male", "female", "unknown"}
    share = {
        source: np.mean([lesion.dx in MALIGNANT for lesion in people if lesion.source == source])
        for source in ("sample_camera_a", "sample_camera_b")
    }
    assert share["sample_camera_b"] > 2 * share["sample_camera_a"]


def test_pictures_of_a_lesion_are_alike_and_of_others_not():
    def colour(dx, lesion, picture):
        random = np.random.default_rng([lesion, 1])
        patch = draw_patch(draw_looks(dx, random), random)
        rgb = take_picture(patch, "sample_camera_a", np.random.default_rng([lesion, picture]))
        return rgb[60:90, 80:120].reshape(-1, 3).mean(0)

    same = [np.abs(colour("nv", i, 2) - colour("nv", i, 3)).mean() for i in range(12)]
    other = [np.abs(colour("nv", i, 2) - colour("nv", i + 1, 2)).mean() for i in range(12)]
    assert np.mean(same) < 0.6 * np.mean(other)


def test_every_diagnosis_draws_and_stays_in_range():
    for number, dx in enumerate(diagnosis_counts(20)):
        random = np.random.default_rng(number)
        looks = draw_looks(dx, random)
        assert 0 <= looks.asymmetry <= 1 and 0.1 < looks.radius < 0.45
        patch = draw_patch(looks, random)
        picture = take_picture(patch, "sample_camera_b", random)
        assert picture.shape == (150, 200, 3) and picture.dtype == np.uint8
        assert np.isfinite(patch).all() and picture.std() > 8
