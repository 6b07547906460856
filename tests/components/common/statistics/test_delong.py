import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from components.common.statistics.delong import clustered_auc
from components.common.statistics.ranking import Ranking
from components.common.statistics.resampling import group_codes


def plain_delong(label, score):
    """Variance of AUC after DeLong 1988, written from the definition with all pairs."""
    x, y = score[label == 1], score[label == 0]
    psi = (x[:, None] > y[None]) + 0.5 * (x[:, None] == y[None])
    return psi.mean(1).var(ddof=1) / len(x) + psi.mean(0).var(ddof=1) / len(y)


@pytest.mark.parametrize("seed", range(5))
def test_single_image_lesions_give_delongs_own_variance(seed):
    rng = np.random.default_rng(seed)
    label = (rng.random(150) < 0.3).astype(np.int8)
    score = np.round(rng.normal(label, 1.0), 1)
    interval, error = clustered_auc(score, label, np.arange(150), 150)
    assert interval.value == pytest.approx(roc_auc_score(label, score), abs=1e-12)
    # Obuchowski divides by clusters - 1 of each class, which is DeLong's own denominator here
    assert error**2 == pytest.approx(plain_delong(label, score), rel=1e-9)


def test_the_closed_form_agrees_with_the_group_bootstrap(sim):
    scores = sim(900, 4)
    codes, groups = group_codes(scores.group_id)
    interval, error = clustered_auc(scores.logit, scores.label, codes, groups)
    drawn = Ranking(scores.logit, scores.label, codes, groups).resampled(2000, 1, ["roc_auc"])["roc_auc"]
    assert error == pytest.approx(drawn.std(), rel=0.08)
    assert interval.lower == pytest.approx(np.quantile(drawn, 0.025), abs=0.005)


def test_clusters_with_both_labels_agree_with_the_group_bootstrap(sim):
    scores = sim(900, 11, prevalence=0.4)
    shift = np.random.default_rng(1).normal(0, 1.5, 300)  # a patient's images resemble each other
    patient = np.array([int(lesion[1:]) % 300 for lesion in scores.lesion_id])
    logit = scores.logit + shift[patient]
    interval, error = clustered_auc(logit, scores.label, patient, 300)
    drawn = Ranking(logit, scores.label, patient, 300).resampled(2000, 1, ["roc_auc"])["roc_auc"]
    assert error == pytest.approx(drawn.std(), rel=0.08)
    assert interval.value == pytest.approx(roc_auc_score(scores.label, logit), abs=1e-12)


def test_copied_images_add_no_certainty_when_clustered(sim):
    scores = sim(300, 5, images=1)
    three = {name: np.tile(getattr(scores, name), 3) for name in ("logit", "label", "group_id")}
    codes, groups = group_codes(scores.group_id)
    codes3, groups3 = group_codes(three["group_id"])
    _, one = clustered_auc(scores.logit, scores.label, codes, groups)
    _, copied = clustered_auc(three["logit"], three["label"], codes3, groups3)
    _, pretended = clustered_auc(three["logit"], three["label"], np.arange(len(codes3)), len(codes3))
    assert copied == pytest.approx(one, rel=0.01)
    assert pretended < 0.65 * copied


def test_one_class_has_no_auc():
    interval, error = clustered_auc(np.zeros(3), np.zeros(3, np.int8), np.arange(3), 3)
    assert interval.value is None
    assert error is None
