import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from components.calibrate.config import CalibrateConfig
from components.calibrate.recalibrate import recalibrate
from components.common.artifacts.policy import Calibrator, DecisionPolicy, load_policy
from components.common.runtime.errors import ConfigError, DataError
from components.common.statistics.reliability import calibration_error

BENCH = Path(__file__).parents[2] / "benchmarks" / "bench_recalibrate.py"

PARENT = DecisionPolicy(
    Calibrator("platt", 0.0, {"a": 1.0, "b": 0.0}),
    -2.0,
    float(1 / (1 + np.exp(2.0))),
    {"policy": "lower_bound"},
    {"n": 400, "malignant": 80, "groups": 300, "malignant_groups": 60},
    0.2,
    "a" * 64,
    "b" * 64,
)


def site_of(scores, intercept, slope):
    return replace(scores, logit=(intercept + slope * scores.logit).astype(np.float32).astype(np.float64))


def few(scores, malignant, benign=100):
    """The first lesions of each class."""
    chosen = [np.unique(scores.group_id[scores.label == k])[:n] for k, n in ((1, malignant), (0, benign))]
    return scores.take(np.flatnonzero(np.isin(scores.group_id, np.concatenate(chosen))))


def run(scores, parent=PARENT, keep=False, **given):
    return recalibrate(CalibrateConfig(**given), parent, scores, "c" * 64, "Clinic B", keep=keep, resamples=100)


def test_a_site_with_other_logits_gets_probabilities_that_are_right_on_lesions_the_fit_has_not_seen(sim):
    made = run(site_of(sim(600, 1, prevalence=0.2), 3.0, 0.5))
    assert made.record.update.step == "intercept_and_slope"
    assert made.record.before.calibration_error > 0.25
    after = made.record.cross_fitted
    assert abs(after.calibration_in_the_large.value) < 0.1
    assert after.slope.value == pytest.approx(1, abs=0.15)
    assert after.calibration_error < 0.05
    assert after.log_loss.value < made.record.before.log_loss.value / 2


def test_the_policy_names_parent_and_site_and_can_be_read_again(sim, tmp_path):
    made = run(site_of(sim(300, 1), 2.0, 1.0)).policy
    assert made.parent == {"policy_id": PARENT.policy_id, "site": "Clinic B"}
    assert made.model_sha256 == PARENT.model_sha256
    made.save(tmp_path / "policy.json")
    assert load_policy(tmp_path / "policy.json").policy_id == made.policy_id != PARENT.policy_id


def test_figures_are_cross_fitted_by_group(sim):
    """With 30 malignant lesions the threshold lies at the lowest malignant score: in-sample everything is found."""
    finds = []
    for seed in range(6):
        made = run(few(sim(400, seed), 30, 170))
        assert made.policy.operating_point["sensitivity"] == 1.0
        finds.append(made.record.cross_fitted.sensitivity.value)
        assert made.record.folds == 10
    assert 0.93 < np.mean(finds) < 0.995


@pytest.mark.parametrize(
    ("malignant", "benign", "said"),
    [
        (7, 100, "7 malignant groups: no adjustment is allowed, .* a new intercept needs 10 .*3 more.*, a slope 20"),
        (60, 9, "9 benign groups: no adjustment is allowed"),
        (
            15,
            100,
            "15 malignant groups are enough for a new intercept, not for .* needs 29 .14 more.* --keep-threshold",
        ),
        (
            25,
            100,
            "25 malignant groups are enough for a new intercept and slope, not for a threshold .* needs 29 .4 more",
        ),
    ],
)
def test_too_few_groups_are_told_what_is_allowed(sim, malignant, benign, said):
    with pytest.raises(DataError, match=said):
        run(few(sim(600, 1, prevalence=0.4), malignant, benign))


def test_the_ways_out_that_are_named_work(sim):
    scores = site_of(few(sim(600, 1), 15), 3.0, 1.0)
    kept = run(scores, keep=True)
    assert kept.policy.threshold_logit == PARENT.threshold_logit
    assert kept.policy.operating_point["policy"] == "kept"
    assert "chosen elsewhere" in kept.policy.operating_point["guarantee"]
    assert kept.record.update.step == "intercept"
    assert "a slope needs 20 groups of each class and was not tried" in kept.record.why
    point = run(scores, operating_point="point")
    assert point.policy.operating_point["guarantee"].startswith("none")


def test_a_kept_threshold_is_read_again(sim, tmp_path):
    run(few(sim(600, 1), 15), keep=True).policy.save(tmp_path / "policy.json")
    assert load_policy(tmp_path / "policy.json").threshold_logit == PARENT.threshold_logit


def test_labels_that_are_turned_round_are_refused(sim):
    scores = sim(400, 1)
    with pytest.raises(DataError, match=r"^Clinic B: scores do not rank malignant .* the order is reversed"):
        run(replace(scores, logit=-scores.logit))


@pytest.mark.parametrize("site", ["", "a\nb", "x" * 81])
def test_a_name_of_a_site_is_a_line_of_text(sim, site):
    with pytest.raises(ConfigError, match="1 to 80 printable characters"):
        recalibrate(CalibrateConfig(), PARENT, sim(100, 1), "c" * 64, site)


def test_lesions_that_were_not_seen_keep_the_promise_whatever_was_planted(sim):
    """The short form of tests/benchmarks/bench_recalibrate.py, on simulated scores."""
    spec = importlib.util.spec_from_file_location("bench_recalibrate", BENCH)
    bench = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = bench
    spec.loader.exec_module(bench)
    site = bench.shifted(sim(2500, 3, prevalence=0.15), 3.0, 0.5)
    assert calibration_error(site.label.astype(float), PARENT.probability(site.logit)) >= 0.25
    found = bench.judge(site, PARENT, 20)
    assert 0.8 <= np.median(found.slope) <= 1.25
    assert abs(np.median(found.in_the_large)) <= 0.1
    assert (found.sensitivity >= 0.9).sum() >= 18


def test_images_that_are_refused_take_no_part(sim):
    scores = site_of(sim(400, 3), 0.5, 0.8)
    strange = np.zeros(len(scores), bool)
    strange[::7] = True
    marked = replace(scores, distance=strange.astype(float), refused=strange)
    left = scores.take(np.flatnonzero(~strange))
    with_them, without = run(marked), run(left)
    assert with_them.policy.calibrator == without.policy.calibrator
    assert with_them.policy.threshold_logit == without.policy.threshold_logit
    assert with_them.record.left_out_not_dermoscopy == strange.sum()
