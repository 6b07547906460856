"""The export step: bundle content, parity, and inputs that do not belong together."""

import numpy as np

from components.common.artifacts import open_artifact, read_json


def test_bundle_holds_every_promised_file_and_agrees_with_the_model(made, exported):
    artifact = open_artifact(exported.path, "bundle")
    assert {"saved_model/saved_model.pb", "decision_policy.json", "preprocessing.json", "labels.json",
            "model_card.md", "parity.json", "selftest.json", "selftest.jpg"} <= set(artifact.files)  # fmt: skip
    assert set(artifact.made_from) == {"model", "policy", "split"}
    report = read_json(exported.path / "parity.json", "lesionflow.parity/1")
    assert report["parity"]["images"] == len(made.files)
    assert report["parity"]["max_probability_difference"] <= 1e-5
    assert report["parity"]["changed_decisions"] == 0
    assert 0 < report["preparation"]["mean_absolute_logit_shift"] < 0.25
    assert exported.policy_id == made.rule.policy_id
    assert all(np.isfinite(value) and type(value) is float for value in exported.figures.values())
