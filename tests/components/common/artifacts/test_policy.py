import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.common.artifacts.folder import sha256_bytes
from components.common.artifacts.json_file import dump_json
from components.common.artifacts.policy import CALIBRATORS, Calibrator, DecisionPolicy, load_policy
from components.common.runtime.errors import ArtifactError
from components.common.statistics.numeric import logit_of, sigmoid

PARAMETERS = {
    "none": {},
    "offset": {},
    "temperature": {"t": 1.7},
    "platt": {"a": 0.8, "b": -0.3},
    "beta": {"a": 0.9, "b": 1.2, "c": 0.1},
    "isotonic": {"x": [-2.0, 0.0, 0.0001, 3.0], "y": [0.01, 0.2, 0.5, 0.97]},
}


POINT = {
    "policy": "lower_bound",
    "target_sensitivity": 0.9,
    "delta": 0.05,
    "sensitivity": 0.97,
    "lesion_sensitivity": 0.96,
    "sensitivity_lower": 0.91,
    "specificity": 0.6,
    "chance": 0.98,
    "guarantee": "sensitivity >= 0.9",
}


def policy(**changes):
    calibrator = changes.get("calibrator", Calibrator("platt", 1.4, PARAMETERS["platt"]))
    logit = changes.get("threshold_logit", 0.25)
    values = {
        "calibrator": calibrator,
        "threshold_logit": logit,
        "threshold_probability": float(calibrator.probability(np.array(logit))),
        "operating_point": POINT,
        "counts": {"n": 10, "malignant": 3, "groups": 8, "malignant_groups": 3},
        "prevalence": 0.3,
        "model_sha256": "a" * 64,
        "val_probs_sha256": "b" * 64,
    }
    return DecisionPolicy(**{**values, **changes})


@given(x=st.floats(-800, 800))
def test_sigmoid_is_bounded_symmetric_and_warns_of_nothing(x):
    with np.errstate(all="raise", under="ignore"):
        p = sigmoid(np.array([x, -x]))
    assert 0 <= p.min() <= p.max() <= 1
    assert p.sum() == pytest.approx(1.0, abs=1e-15)


@given(p=st.floats(1e-9, 1 - 1e-9))
def test_logit_undoes_sigmoid(p):
    assert float(sigmoid(logit_of(np.array(p)))) == pytest.approx(p, rel=1e-7)


@pytest.mark.parametrize("name", CALIBRATORS)
def test_formulas_are_those_of_the_docstring(name):
    s = np.linspace(-5, 5, 41)
    u = s - 0.7
    q, given_ = 1 / (1 + np.exp(-u)), PARAMETERS[name]
    expected = {
        "none": lambda: 1 / (1 + np.exp(-s)),
        "offset": lambda: q,
        "temperature": lambda: 1 / (1 + np.exp(-u / 1.7)),
        "platt": lambda: 1 / (1 + np.exp(-(0.8 * u - 0.3))),
        "beta": lambda: 1 / (1 + np.exp(-(0.9 * np.log(q) - 1.2 * np.log(1 - q) + 0.1))),
        "isotonic": lambda: np.interp(u, given_["x"], given_["y"]),
    }[name]()
    np.testing.assert_allclose(Calibrator(name, 0.7, given_).probability(s), expected, atol=1e-12)


@given(name=st.sampled_from(CALIBRATORS), a=st.floats(-50, 50), b=st.floats(-50, 50))
@settings(max_examples=80)
def test_calibration_never_reorders(name, a, b):
    low, high = sorted((a, b))
    p = Calibrator(name, 0.4, PARAMETERS[name]).probability(np.array([low, high]))
    assert p[0] <= p[1] + 1e-15


@pytest.mark.parametrize("name", CALIBRATORS)
def test_a_recalibrated_logit_is_the_line_through_the_old_one(name):
    knots = np.array(PARAMETERS["isotonic"]["x"]) + 0.4
    s = knots if name == "isotonic" else np.linspace(-6, 6, 50)
    before = Calibrator(name, 0.0 if name == "none" else 0.4, PARAMETERS[name])
    after = before.recalibrated(-0.7, 1.3)
    np.testing.assert_allclose(logit_of(after.probability(s)), -0.7 + 1.3 * logit_of(before.probability(s)), atol=1e-9)


def test_the_id_of_a_policy_without_parent_is_what_it_was_before_policies_had_parents(tmp_path):
    plain = policy()
    adjusted = replace(plain, parent={"policy_id": plain.policy_id, "site": "Clinic B"})
    plain.save(tmp_path / "plain.json")
    assert "parent" not in (tmp_path / "plain.json").read_text()
    adjusted.save(tmp_path / "adjusted.json")
    assert load_policy(tmp_path / "adjusted.json") == adjusted
    assert adjusted.policy_id not in (
        plain.policy_id,
        replace(adjusted, parent={"policy_id": plain.policy_id, "site": "Clinic C"}).policy_id,
    )


def test_an_unknown_calibrator_is_refused():
    with pytest.raises(ArtifactError, match="'magic' is unknown; known are none, offset"):
        Calibrator("magic")


@pytest.mark.parametrize(
    ("name", "parameters", "said"),
    [
        ("platt", {"a": 1.0}, r"has parameters \['a'\], expected \['a', 'b'\]"),
        ("none", {"t": 1.0}, r"has parameters \['t'\], expected \[\]"),
        ("platt", {"a": -1.0, "b": 0.0}, "is not a monotone map"),
        ("temperature", {"t": 0.0}, "is not a monotone map"),
        ("beta", {"a": -0.1, "b": 1.0, "c": 0.0}, "is not a monotone map"),
        ("isotonic", {"x": [0.0, 1.0], "y": [0.9, 0.1]}, "is not a monotone map"),
        ("isotonic", {"x": [0.0, 1.0], "y": [0.1]}, "is not a monotone map"),
        ("platt", {"a": float("nan"), "b": 0.0}, "is not a monotone map"),
    ],
)
def test_a_calibrator_that_would_reorder_is_refused(name, parameters, said):
    with pytest.raises(ArtifactError, match=said):
        Calibrator(name, 0.0, parameters)


def test_the_decision_is_taken_on_the_raw_logit():
    assert policy().decide(np.array([0.2499999, 0.25, 0.3])).tolist() == [False, True, True]


@pytest.mark.parametrize("abstain", [None, {"low": 0.01, "high": 0.99}])
@pytest.mark.parametrize("name", CALIBRATORS)
def test_a_policy_comes_back_as_it_was(tmp_path, name, abstain):
    saved = policy(calibrator=Calibrator(name, 0.5, PARAMETERS[name]), abstain=abstain)
    saved.save(tmp_path / "decision_policy.json")
    again = load_policy(tmp_path / "decision_policy.json")
    assert again == saved
    assert again.policy_id == saved.policy_id
    assert len(again.policy_id) == 12


@pytest.mark.parametrize(
    "change", [{"threshold_logit": 0.26}, {"model_sha256": "c" * 64}, {"abstain": {"low": 0.1, "high": 0.2}}]
)
def test_the_id_follows_the_content(change):
    assert policy(**change).policy_id != policy().policy_id
    assert policy().policy_id == policy().policy_id


def test_a_file_edited_by_hand_is_refused(tmp_path):
    path = tmp_path / "decision_policy.json"
    policy().save(path)
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "threshold_logit": 0.1}))
    with pytest.raises(ArtifactError, match=r"policy_id is [0-9a-f]{12}, its content gives [0-9a-f]{12}; the file was"):
        load_policy(path)


@pytest.mark.parametrize("missing", ["calibrator", "threshold_logit", "policy_id", "prevalence"])
def test_a_missing_field_is_named(tmp_path, missing):
    path = tmp_path / "decision_policy.json"
    policy().save(path)
    record = json.loads(path.read_text())
    del record[missing]
    path.write_text(json.dumps(record))
    with pytest.raises(ArtifactError, match=rf"decision_policy\.json: {missing}: missing; make it again"):
        load_policy(path)


@pytest.mark.parametrize(
    "change",
    [{"calibrator": {"name": "platt", "offset": 0.0, "parameters": {"a": 1.0}}}, {"threshold_logit": "high"},
     {"calibrator": {"name": "isotonic", "offset": 0.0, "parameters": {"x": [0.0, 1.0], "y": [0.9, 0.1]}}}],
)  # fmt: skip
def test_a_policy_that_cannot_decide_is_refused(tmp_path, change):
    path = tmp_path / "decision_policy.json"
    policy().save(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ArtifactError):
        load_policy(path)


def point(**changes):
    return {"operating_point": {name: value for name, value in (POINT | changes).items() if value is not ...}}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"threshold_probability": 0.3}, "threshold_probability is 0.3, the calibrator gives 0.22"),
        ({"threshold_probability": 1.2}, "threshold_probability: Input should be less than or equal to 1"),
        ({"threshold_logit": "0.25"}, "threshold_logit: Input should be a valid number"),
        ({"prevalence": 0.2}, "prevalence is 0.2, counts say 3 of 10"),
        ({"prevalence": 0.0}, "prevalence: Input should be greater than 0"),
        (
            {"counts": {"n": 10, "malignant": 3, "groups": 8, "malignant_groups": 4}},
            "counts are .* no validation",
        ),
        ({"counts": {"n": 10, "malignant": 3, "groups": 11, "malignant_groups": 3}}, "counts are"),
        ({"counts": {"n": 10, "malignant": 3, "groups": 8}}, "counts.malignant_groups: missing"),
        ({"counts": {"n": 10, "malignant": 3.5, "groups": 8, "malignant_groups": 3}}, "counts.malignant: "),
        ({"abstain": {"low": 0.3, "high": 0.4}}, "abstain is 0.3 to 0.4, which does not hold threshold_probability"),
        ({"abstain": {"low": 0.1}}, "abstain.high: missing"),
        ({"abstain": {"low": -0.1, "high": 0.4}}, "abstain.low: "),
        ({"model_sha256": "no hash"}, "model_sha256: "),
        ({"colour": "red"}, "colour: "),
        ({"policy_id": "0" * 13}, "policy_id: "),
        ({"calibrator": {"name": "platt", "offset": 0.0}}, "calibrator.parameters: missing"),
        (point(policy="best"), "operating_point.policy: "),
        (point(sensitivity=...), "operating_point.sensitivity: missing"),
        (point(sensitivity=1.5), "operating_point.sensitivity: "),
        (point(delta=...), "operating_point: rule lower_bound with parameter delta None, expected target_sens"),
        (point(cost_ratio=9.0), "operating_point: rule lower_bound with parameter cost_ratio 9.0"),
        (point(sensitivity_lower=0.965), "operating_point: sensitivity_lower 0.965 is above the sensitivity it bounds"),
        (point(target_sensitivity=0.95), "operating_point: rule lower_bound reaches 0.91, target_sensitivity is 0.95"),
        (point(chance=None), "operating_point: rule lower_bound with chance None, expected a number"),
        (
            point(policy="youden", target_sensitivity=..., delta=...),
            "operating_point: rule youden with chance 0.98, expected null",
        ),
    ],
)
def test_a_policy_that_no_calibration_can_have_written_is_refused(tmp_path, change, said):
    """With a right id: only the values themselves are wrong."""
    path = tmp_path / "decision_policy.json"
    policy().save(path)
    record = json.loads(path.read_text()) | change
    content = {name: value for name, value in record.items() if name not in ("schema", "policy_id")}
    if "policy_id" not in change:
        record["policy_id"] = sha256_bytes(dump_json(content).encode())[:12]
    path.write_text(json.dumps(record))
    with pytest.raises(ArtifactError, match=rf"decision_policy\.json: {said}") as caught:
        load_policy(path)
    assert "\n" not in str(caught.value)
    assert "make it again with `python -m components.calibrate`" in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", "[" * 100_000, '{"schema": "lesionflow.decision_policy/1"', '{"schema": 1, "schema": 2}',
     '{"schema": "lesionflow.decision_policy/1", "prevalence": NaN}', " " * (5 * 2**20), "\x00\xff"],
)  # fmt: skip
def test_a_damaged_file_is_one_line_with_its_name(tmp_path, text):
    path = tmp_path / "decision_policy.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(ArtifactError, match=r"decision_policy\.json: ") as caught:
        load_policy(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
