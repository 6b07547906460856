import io
import pickle
import zipfile

import numpy as np
import pytest

from components.common.artifacts.scores import Scores, load_extra, load_scores, save_scores
from components.common.runtime.errors import ArtifactError

COLUMNS = ("image_id", "lesion_id", "group_id", "label", "logit", "probability")


def some(n=4, **columns):
    ids = np.array([f"image{k}" for k in range(n)])
    lesions = np.array([f"lesion{k // 2}" for k in range(n)])
    values = {"image_id": ids, "lesion_id": lesions, "group_id": lesions, "label": np.arange(n, dtype=np.int8) % 2}
    values |= {"logit": np.linspace(-2, 2, n), "probability": np.linspace(0.1, 0.9, n)}
    return Scores(**{**values, **columns})


def test_scores_come_back_as_they_were(tmp_path):
    scores = some(distance=np.linspace(1, 2, 4), refused=np.array([False, False, False, True]))
    save_scores(tmp_path / "a.npz", scores, {"sex": np.array(list("abcd"))})
    again = load_scores(tmp_path / "a.npz")
    assert list(load_extra(tmp_path / "a.npz")) == ["sex"]
    for name in Scores.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(again, name), getattr(scores, name))
        assert getattr(again, name).dtype.kind == getattr(scores, name).dtype.kind
    assert len(again) == 4


def test_equal_scores_give_equal_bytes_and_numpy_reads_them(tmp_path):
    for name in ("a", "b"):
        save_scores(tmp_path / f"{name}.npz", some(), {"sex": np.array(["f", "m", "f", "m"])})
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with np.load(tmp_path / "a.npz", allow_pickle=False) as data:
        assert data["image_id"].tolist() == ["image0", "image1", "image2", "image3"]


def test_extra_columns_travel_and_do_not_disturb(tmp_path):
    extra = {"sex": np.array(["f", "m", "f", ""]), "age": np.array([1.0, np.nan, 3.0, 4.0])}
    save_scores(tmp_path / "a.npz", some(), extra)
    assert len(load_scores(tmp_path / "a.npz")) == 4
    found = load_extra(tmp_path / "a.npz")
    assert sorted(found) == ["age", "sex"]
    np.testing.assert_array_equal(found["age"], extra["age"])


@pytest.mark.parametrize("extra", [{"label": np.zeros(4)}, {"sex": np.array(["f"])}])
def test_an_extra_column_may_not_replace_or_misfit(tmp_path, extra):
    with pytest.raises(ArtifactError, match="extra column"):
        save_scores(tmp_path / "a.npz", some(), extra)
    assert not (tmp_path / "a.npz").exists()


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"label": np.array([0, 1, 2, 0], np.int8)}, r"label of image image2 is 2, expected 0 or 1 \(1 such rows\)"),
        ({"logit": np.array([0, np.inf, 0, 0.0])}, "logit of image image1 is inf, expected a finite number"),
        ({"probability": np.array([0, 0.5, -0.1, 1.1])}, r"probability of image image2 is -0.1.*\(2 such rows\)"),
        ({"probability": np.array([0.5, np.nan, 0, 0])}, "probability of image image1 is nan"),
        ({"image_id": np.array(["a", "b", "b", "c"])}, "image_id 'b' appears 2 times"),
        ({"logit": np.zeros(3)}, r"column logit has shape \(3,\), expected \(4,\)"),
    ],
)
def test_bad_values_are_refused_by_name(columns, said):
    with pytest.raises(ArtifactError, match=said):
        some(**columns)


def test_no_rows_are_no_scores():
    with pytest.raises(ArtifactError, match="no rows"):
        some(0)


@pytest.mark.parametrize("label", [np.array([256, 0, 1, 0]), np.array([0.5, 0, 1, 0]), np.array([np.nan, 0, 1, 0])])
def test_a_label_that_a_cast_would_turn_into_0_is_refused(tmp_path, label):
    columns = {name: getattr(some(), name) for name in COLUMNS}
    np.savez(tmp_path / "a.npz", **{**columns, "label": label})
    with pytest.raises(ArtifactError, match=r"a\.npz: scores: label of image image0 is"):
        load_scores(tmp_path / "a.npz")


def test_files_that_are_no_scores_are_named(tmp_path):
    with pytest.raises(ArtifactError, match=r"absent\.npz: no such file"):
        load_scores(tmp_path / "absent.npz")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(ArtifactError, match=r"text\.npz: not readable as scores"):
        load_scores(tmp_path / "text.npz")
    np.savez(tmp_path / "part.npz", image_id=np.array(["a"]))
    with pytest.raises(ArtifactError, match=r"part\.npz: columns \['lesion_id'"):
        load_scores(tmp_path / "part.npz")


def test_pickled_objects_are_never_opened(tmp_path):
    save_scores(tmp_path / "a.npz", some())
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.array([{}], dtype=object), allow_pickle=True)
    assert pickle.PROTO in buffer.getvalue()
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for name, data in {**members, "logit.npy": buffer.getvalue()}.items():
            archive.writestr(name, data)
    with pytest.raises(ArtifactError, match="not readable as scores"):
        load_scores(tmp_path / "a.npz")


def test_rows_are_found_by_image_id_whatever_the_order():
    scores = some(6)
    turned = scores.take(np.array([4, 1, 5, 0, 3, 2]))
    np.testing.assert_array_equal(turned.image_id[turned.rows_of(scores.image_id)], scores.image_id)
    assert turned.rows_of(np.array(["image5", "image", "zebra", "image50"])).tolist() == [2, -1, -1, -1]
    assert turned.aligned_to(scores).logit.tolist() == scores.logit.tolist()


@pytest.mark.parametrize(
    ("rows", "columns", "said"),
    [
        (slice(0, 3), {}, "3 images against 4, 3 in common .*'image3' is in one only"),
        (slice(None), {"image_id": np.array(["image0", "image1", "image2", "other"])}, "4 .* 4, 3 in common"),
        (slice(None), {"label": np.array([0, 1, 1, 1], np.int8)}, r"label 1 for image 'image2' against 0 \(1 such"),
    ],
)
def test_scores_of_other_images_or_labels_are_not_aligned(rows, columns, said):
    other = some(**columns).take(np.arange(4)[rows])
    with pytest.raises(ArtifactError, match=said):
        other.aligned_to(some())


def test_a_refused_image_is_above_every_threshold_and_stays_so_when_rows_are_taken():
    scores = some(distance=np.linspace(1, 2, 4), refused=np.array([True, False, False, False]))
    assert scores.decided_by(scores.logit).tolist() == [np.inf, *scores.logit[1:]]
    assert scores.take(np.array([1, 0])).not_dermoscopy.tolist() == [False, True]
    without = some()
    assert without.decided_by(without.logit).tolist() == without.logit.tolist()
    save = some(refused=np.array([True, False]), n=2)
    assert save.distance is None
    with pytest.raises(ArtifactError, match="column refused has shape"):
        some(refused=np.array([True]))
