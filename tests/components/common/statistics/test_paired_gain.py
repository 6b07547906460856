"""The gain of one score over another on the same images."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from components.common.statistics.paired_gain import paired_gain


@pytest.fixture(scope="module")
def scored():
    rng = np.random.default_rng(5)
    group = np.repeat(np.arange(300), rng.integers(1, 4, 300))
    truth = (rng.random(300) < 0.25).astype(np.int8)
    label, signal = truth[group], (truth + rng.normal(0, 0.9, 300))[group]
    noise = [rng.normal(0, 1.0, len(group)) for _ in range(3)]
    return label, group.astype(np.str_), [signal + one for one in noise]


def test_figures_are_those_of_scikit_learn_and_the_gain_their_difference(scored):
    label, group, members = scored
    mean = np.mean(members, axis=0)
    found = paired_gain(members, mean, label, group, resamples=200)
    for name, metric in (("average_precision", average_precision_score), ("roc_auc", roc_auc_score)):
        assert found[name]["before"] == pytest.approx(np.mean([metric(label, one) for one in members]))
        assert found[name]["after"] == pytest.approx(metric(label, mean))
        assert found[name]["gain"]["value"] == pytest.approx(found[name]["after"] - found[name]["before"])
        assert 0 < found[name]["gain"]["lower"] < found[name]["gain"]["value"] < found[name]["gain"]["upper"]


def test_a_score_gains_nothing_over_itself_in_any_resample(scored):
    label, group, members = scored
    found = paired_gain([members[0]], members[0], label, group, resamples=50)
    assert found["roc_auc"]["gain"] == {"value": 0.0, "lower": 0.0, "upper": 0.0}


def test_the_interval_is_paired_and_resamples_lesions(scored):
    """Narrower than the interval of unpaired differences, and equal to resampling whole lesions by hand."""
    label, group, (first, second, _) = scored
    found = paired_gain([first], second, label, group, resamples=2000)["roc_auc"]["gain"]
    rng = np.random.default_rng(1)
    rows = [np.flatnonzero(group == name) for name in np.unique(group)]
    paired, unpaired = [], []
    for _ in range(400):
        here, there = (np.concatenate([rows[i] for i in rng.integers(0, len(rows), len(rows))]) for _ in range(2))
        after = roc_auc_score(label[here], second[here])
        paired.append(after - roc_auc_score(label[here], first[here]))
        unpaired.append(after - roc_auc_score(label[there], first[there]))
    width = found["upper"] - found["lower"]
    assert width == pytest.approx(np.ptp(np.quantile(paired, [0.025, 0.975])), rel=0.2)
    assert width < np.ptp(np.quantile(unpaired, [0.025, 0.975]))


def test_one_class_alone_has_no_ranking(scored):
    _, group, members = scored
    assert paired_gain(members, members[0], np.zeros(len(group), np.int8), group) == {}
