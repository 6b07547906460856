import json

import numpy as np
import pandas as pd
import pytest

from components.calibrate.__main__ import main
from components.calibrate.config import CalibrateConfig
from components.calibrate.run import run
from components.calibrate.selection import fold_of
from components.common.artifacts.folder import open_artifact
from components.common.artifacts.policy import load_policy
from components.common.artifacts.scores import Scores
from components.common.runtime.errors import ArtifactError, ConfigError, DataError
from components.common.statistics.intervals import clopper_pearson_lower


def changed(scores, **columns):
    return Scores(**{**{k: getattr(scores, k) for k in scores.__dataclass_fields__}, **columns})


def test_a_policy_holds_everything_export_and_evaluate_need(model_of, sim, tmp_path):
    scores = sim(600, 0, weight=4.12)
    model = model_of(scores, np.log(4.12))
    result = run(CalibrateConfig(), model, tmp_path / "policy")
    policy = load_policy(tmp_path / "policy" / "decision_policy.json")
    assert policy == result.policy
    assert policy.counts["n"] == len(scores)
    assert policy.counts["malignant_groups"] == len(np.unique(scores.group_id[scores.label == 1]))
    assert policy.prevalence == pytest.approx(scores.label.mean())
    assert policy.model_sha256 == open_artifact(model, "model").files["model.keras"]
    assert policy.val_probs_sha256 == open_artifact(model, "model").files["val_probs.npz"]
    p = policy.probability(np.array([policy.threshold_logit]))[0]
    assert policy.threshold_probability == p
    record = json.loads((tmp_path / "policy" / "calibration.json").read_text())
    assert {c["name"] for c in record["candidates"]} == {"none", "offset", "temperature", "platt", "beta", "isotonic"}
    assert record["why"] == result.why
    assert (tmp_path / "policy" / "reliability.svg").read_text().startswith("<svg ")


def test_equal_inputs_give_equal_bytes(model_of, sim, tmp_path):
    model = model_of(sim(500, 1))
    one, two = (run(CalibrateConfig(), model, tmp_path / name).path for name in ("a", "b"))
    assert (one / "artifact.json").read_bytes() == (two / "artifact.json").read_bytes()


@pytest.mark.parametrize("name", ["none", "offset", "temperature", "platt", "beta", "isotonic"])
def test_every_calibrator_can_be_asked_for(model_of, sim, tmp_path, name):
    config = CalibrateConfig.parse({"calibration": name})
    result = run(config, model_of(sim(500, 2, weight=2.0), np.log(2)), tmp_path / "p")
    assert result.policy.calibrator.name == name
    assert result.why.startswith(f"{name} was requested")


def test_the_abstain_band_holds_the_threshold_and_keeps_both_errors(model_of, sim, tmp_path):
    config = CalibrateConfig.parse({"abstain_alpha": 0.05})
    policy = run(config, model_of(sim(900, 3)), tmp_path / "p").policy
    low, high = policy.abstain["low"], policy.abstain["high"]
    assert low <= policy.threshold_probability <= high
    new = sim(6000, 4)
    p = policy.probability(new.logit)
    assert np.mean(p[new.label == 1] <= low) < 0.08
    assert np.mean(p[new.label == 0] >= high) < 0.08


def test_too_few_lesions_for_the_abstain_error(model_of, sim, tmp_path):
    with pytest.raises(DataError, match=r"abstain_alpha 0.01: validation has \d+ malignant groups, expected"):
        run(CalibrateConfig.parse({"abstain_alpha": 0.01}), model_of(sim(300, 5)), tmp_path / "p")
    assert not (tmp_path / "p").exists()


def test_one_class_only_is_one_clear_line(model_of, sim, tmp_path):
    scores = sim(100, 6)
    with pytest.raises(DataError, match=r"validation: all labels are 0; calibration needs both classes"):
        run(CalibrateConfig(), model_of(changed(scores, label=np.zeros_like(scores.label))), tmp_path / "p")
    assert list(tmp_path.glob("*p*/decision_policy.json")) == []


def test_a_group_may_hold_both_labels_as_a_patient_does(model_of, sim, tmp_path):
    scores = sim(600, 7)
    patient = np.array([f"P{int(lesion[1:]) // 3:04d}" for lesion in scores.lesion_id])
    config = CalibrateConfig.parse({"abstain_alpha": 0.1})
    result = run(config, model_of(changed(scores, group_id=patient)), tmp_path / "p")
    malignant = len(set(patient[scores.label == 1]))
    assert malignant < len(set(scores.lesion_id[scores.label == 1]))
    assert result.policy.counts["groups"] == len(set(patient)) == 200
    assert result.policy.counts["malignant_groups"] == malignant
    found = scores.logit[scores.label == 1] >= result.policy.threshold_logit
    by_group = pd.Series(found).groupby(patient[scores.label == 1]).mean()
    share = min(found.mean(), by_group.mean())
    assert result.point.sensitivity_lower == pytest.approx(clopper_pearson_lower(malignant * share, malignant, 0.05))
    assert result.point.sensitivity_lower >= 0.90


def test_limits_of_the_abstain_band_are_of_one_image_per_group_and_label(sim):
    scores = sim(300, 3)
    patient = changed(scores, group_id=np.array([f"P{i // 4}" for i in range(len(scores))]))
    rows = patient.first_row_per_group()
    table = pd.DataFrame({"group": patient.group_id, "label": patient.label})
    assert rows.tolist() == table.drop_duplicates().index.tolist()
    assert table.iloc[rows].groupby("group")["label"].nunique().max() == 2


def test_patients_with_benign_and_malignant_lesions_are_calibrated(model_of, sim, tmp_path):
    scores = sim(900, 7)
    names = np.unique(scores.group_id)
    patient = dict(zip(names, (f"P{k // 3:04d}" for k in range(len(names))), strict=True))
    group = np.array([patient[name] for name in scores.group_id])
    patients = changed(scores, group_id=group)
    config = CalibrateConfig.parse({"abstain_alpha": 0.05})
    policy = run(config, model_of(patients), tmp_path / "p").policy
    malignant = np.unique(group[scores.label == 1])
    assert policy.counts["malignant_groups"] == len(malignant)
    assert policy.counts["groups"] == len(np.unique(group))
    assert np.isin(group[scores.label == 0], malignant).any()  # some patients have both
    fold = fold_of(patients, 5, 0)
    assert all(len(np.unique(fold[group == name])) == 1 for name in np.unique(group))
    for k in range(5):
        share = len(np.unique(group[(fold == k) & (scores.label == 1)])) / len(malignant)
        assert share == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize("name", ["auto", "none", "offset", "temperature", "platt", "beta", "isotonic"])
@pytest.mark.parametrize(
    ("order", "reason"), [("reversed", "are the labels swapped"), ("random", "no better than chance")]
)
def test_scores_that_do_not_rank_are_refused_for_every_calibration(model_of, sim, tmp_path, name, order, reason):
    scores = sim(600, 10)
    logit = -scores.logit if order == "reversed" else np.random.default_rng(0).permutation(scores.logit)
    config = CalibrateConfig.parse({"calibration": name, "operating_point": "point"})
    with pytest.raises(DataError, match=f"do not rank malignant above benign images: ROC-AUC 0.*{reason}"):
        run(config, model_of(changed(scores, logit=logit)), tmp_path / "p")
    assert not (tmp_path / "p").exists()


def test_few_lesions_with_scores_that_rank_are_calibrated(model_of, sim, tmp_path):
    # two standard errors above 1/2 would ask more of so few groups
    scores = sim(40, 4)
    config = CalibrateConfig.parse({"operating_point": "point", "folds": 2})
    assert run(config, model_of(scores), tmp_path / "p").policy.counts["malignant_groups"] < 12


def test_one_score_for_every_image_does_not_rank(model_of, sim, tmp_path):
    scores = sim(300, 11)
    with pytest.raises(DataError, match=r"ROC-AUC 0\.500, expected at least 0\.5"):
        run(CalibrateConfig(), model_of(changed(scores, logit=np.zeros(len(scores)))), tmp_path / "p")


def test_a_damaged_model_artifact_is_refused(model_of, sim, tmp_path):
    model = model_of(sim(100, 8))
    (model / "model.keras").write_bytes(b"another model")
    with pytest.raises(ArtifactError, match=r"model\.keras: sha256 is"):
        run(CalibrateConfig(), model, tmp_path / "p")


def test_parameters_that_contradict_each_other_are_named():
    with pytest.raises(ConfigError, match=r"cost_ratio, operating_point: received 5 and point"):
        CalibrateConfig.parse({"operating_point": "point", "cost_ratio": 5})
    with pytest.raises(ConfigError, match=r"target_sensitivity: received 1\.5"):
        CalibrateConfig.parse({"target_sensitivity": 1.5})


def test_the_command_ends_with_the_right_exit_codes(model_of, sim, tmp_path, capsys):
    model = str(model_of(sim(500, 9)))
    assert main(["--model", model, "--out", str(tmp_path / "p"), "--operating_point", "youden"]) == 0
    assert main(["--model", model, "--out", str(tmp_path / "q"), "--calibration", "magic"]) == 2
    assert "calibration: received 'magic'; allowed: one of auto, none" in capsys.readouterr().err
    assert main(["--model", str(tmp_path / "absent"), "--out", str(tmp_path / "q")]) == 1
    assert not (tmp_path / "q").exists()
