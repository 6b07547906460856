import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from components.evaluate.subgroups import MINIMUM, MOST, slice_values, slices


def test_images_per_lesion_are_counted_in_the_test_set(sim):
    scores = sim(50, 0)
    value = slice_values(scores, {})["images per lesion"]
    for i in range(len(scores)):
        count = int((scores.lesion_id == scores.lesion_id[i]).sum())
        assert value[i] == {1: "1", 2: "2"}.get(count, "3+")


@pytest.fixture
def rows(sim):
    scores = sim(500, 1)
    sex = np.where(np.arange(len(scores)) < 60, "female", "male").astype(np.str_)
    sex[:3] = ""
    return scores, sex, slices(scores, {"sex": sex}, 0.0, 200, 0)


def test_each_slice_is_measured_on_its_own_images(rows):
    scores, sex, table = rows
    male = next(r for r in table if r.value == "male")
    mask = sex == "male"
    assert male.n == mask.sum()
    assert male.roc_auc.value == pytest.approx(roc_auc_score(scores.label[mask], scores.logit[mask]))
    assert male.sensitivity.value == pytest.approx(np.mean(scores.logit[mask & (scores.label == 1)] >= 0))
    assert male.sensitivity.lower < male.sensitivity.value < male.sensitivity.upper


def test_a_free_text_column_does_not_flood_the_report(sim):
    scores = sim(500, 1)
    text = np.array([f"site {k % 200}" if k % 2 else "back" for k in range(len(scores))])
    text[:5] = "unknown"
    shown = [row for row in slices(scores, {"localization": text}, 0.0, 200, 0) if row.slice == "site"]
    assert len(shown) == MOST + 1
    assert shown[0].value == "back"
    assert shown[-2].value.endswith(" rarer values")
    assert shown[-1].value == "unknown"
    assert sum(row.n for row in shown) == len(scores)


def test_few_malignant_images_are_called_insufficient(rows):
    _, _, table = rows
    few = next(r for r in table if r.value == "female")
    assert few.malignant < MINIMUM
    assert few.status == few.sensitivity.status == few.roc_auc.status == "insufficient"
    assert few.specificity.status == "ok"
    unknown = next(r for r in table if r.value == "unknown")
    assert unknown.n == 3


def test_the_order_is_the_same_every_time_and_unknown_comes_last(rows):
    _, _, table = rows
    assert [r.value for r in table if r.slice == "sex"] == ["male", "female", "unknown"]
    assert [r.value for r in table if r.slice == "images per lesion"] == ["1", "2", "3+"]
