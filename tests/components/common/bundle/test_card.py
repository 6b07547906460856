"""The card: numbers from artifacts, nothing for what they lack."""

import json

import pytest
import yaml

from components.common.artifacts.folder import new_artifact, open_artifact, write_json
from components.common.bundle.card import bundle_card, render
from components.common.bundle.card_text import estimate, plain, training_history
from components.common.runtime.errors import ArtifactError

METRICS = {
    "schema": "lesionflow.metrics/1", "n": 1505, "malignant": 288, "groups": 1121, "prevalence": 0.19,
    "roc_auc": {"value": 0.8844, "lower": 0.861, "upper": 0.905},
    "average_precision": {"value": 0.6489, "lower": 0.59, "upper": 0.7},
    "sensitivity": {"value": 0.91, "lower": 0.87, "upper": 0.94},
    "specificity": {"value": 0.66, "lower": 0.63, "upper": 0.69},
    "calibration": {"slope": {"value": 1.02, "lower": 0.9, "upper": 1.1}, "ece": 0.021},
    "slices": [{"slice": "sex", "value": "male", "n": 800, "malignant": 178,
                "sensitivity": {"value": 0.9, "lower": 0.8, "upper": 0.95, "status": "ok"},
                "specificity": {"value": 0.6, "lower": 0.5, "upper": 0.7}, "roc_auc": {"value": 0.9, "status": "ok"}},
               {"slice": "sex", "value": "unknown", "n": 5, "malignant": 1,
                "sensitivity": {"value": 0.2, "lower": 0.1, "upper": 0.9, "status": "insufficient"},
                "specificity": None, "roc_auc": {"value": 0.85, "status": "ok"}},
               {"slice": "sex", "value": "female", "n": 700, "malignant": 110, "sensitivity": None,
                "specificity": {"value": 0.7, "lower": 0.6, "upper": 0.8}, "roc_auc": {"value": None}}],
}  # fmt: skip


def front_matter(card):
    return yaml.safe_load(card.split("---\n")[1])


def test_card_of_a_bundle_states_rule_data_and_evidence(exported, export_inputs):
    card = (exported.path / "model_card.md").read_text()
    assert front_matter(card)["pipeline_tag"] == "image-classification"
    rule = export_inputs.rule
    for text in (
        rule.policy_id, f"{rule.threshold_logit:.6g}", f"{rule.threshold_probability:.4f}", "not a medical device",
        "no skin-tone labels", "lower_bound", "a" * 64, "| val | 24 | 8 |", "| mel | malignant |",
        "On 24 validation images", "the test split is not opened before that",
    ):  # fmt: skip
        assert text in card, text
    assert "{{" not in card
    assert "None" not in card


def test_bundle_card_has_intervals_slices_and_a_model_index(exported):
    facts = json.loads((exported.path / "card.json").read_text())
    card = render(facts, METRICS)
    assert "| ROC-AUC | 0.884 (0.861 to 0.905) |" in card
    assert "| slope | 1.020 (0.900 to 1.100) | 1 |" in card
    assert "| sex | female | 700 | 110 | not estimable | 0.700 (0.600 to 0.800) | not estimable |" in card
    assert "| sex | unknown | 5 | 1 | insufficient |" in card
    assert "- Largest gap in ROC-AUC by sex: 0.050 (unknown 0.850, male 0.900)" in card
    assert "Largest gap in sensitivity" not in card  # one group alone is large enough
    results = front_matter(card)["model-index"][0]["results"][0]
    assert results["metrics"][0] == {"type": "roc_auc", "value": 0.8844}


def test_metrics_of_another_bundle_are_refused(exported, tmp_path):
    digest = open_artifact(exported.path, "bundle").digest
    for name, made_from in (("own", digest), ("other", "0" * 64)):
        with new_artifact(tmp_path / name, "evaluation", {"bundle": made_from}) as folder:
            write_json(folder / "metrics.json", METRICS)
    assert "1505 images of 1121 lesion groups" in bundle_card(exported.path, tmp_path / "own")
    with pytest.raises(ArtifactError, match="made from another bundle"):
        bundle_card(exported.path, tmp_path / "other")


GAIN = {"before": 0.7, "after": 0.75, "gain": {"value": 0.05, "lower": -0.01, "upper": 0.11}}


def test_an_ensemble_shows_its_members_and_its_gain(exported):
    facts = json.loads((exported.path / "card.json").read_text())
    scored = {"folds": 5, "roc_auc": 0.8, "average_precision": 0.7, "seconds": 4.5, "commit": "abcdef0123456789"}
    members = [{"model_sha256": f"{k}" * 64, "fold": k, **scored} for k in range(2)]
    ensemble = {"members": members, "images": 24, "over_members": {"roc_auc": GAIN}}
    card = render(facts | {"ensemble": ensemble}, None)
    assert "| `111111111111` | fold 1 of 5 | 0.8 | 0.7 | abcdef012345 |" in card
    assert "| mean of the members | ROC-AUC | 0.7000 | 0.7500 | +0.0500 (-0.0100 to +0.1100) |" in card
    assert "training took 9 seconds for all members together" in card
    assert "single model |" not in card
    against = ensemble | {"single": {"folds": 0}, "over_single": {"roc_auc": GAIN}}
    assert "the comparison favours the single model" in render(facts | {"ensemble": against}, None)
    members[0]["folds"] = 0  # stopped by the same images as the single model
    assert "favours" not in render(facts | {"ensemble": against}, None)


def test_the_gain_of_augmentation_is_shown_with_its_interval(exported):
    facts = json.loads((exported.path / "card.json").read_text())
    found = {
        "average_precision": GAIN,
        "sensitivity": GAIN | {"gain": {"value": 0.05}},
        "images": 24,
        "changed_decisions": 3,
    }
    card = render(facts | {"parity": facts["parity"] | {"augmentation": found}}, None)
    assert "| average precision | 0.7000 | 0.7500 | +0.0500 (-0.0100 to +0.1100) |" in card
    assert "| sensitivity | 0.7000 | 0.7500 | +0.0500 |" in card
    assert "3 decisions change" in card


def test_limits_state_what_the_evaluation_found_and_nothing_else(exported):
    facts = json.loads((exported.path / "card.json").read_text())
    assert "compare the figures on histology-confirmed lesions alone" in render(facts, None)
    kinds = [
        {"slice": "dx_type", "value": "histo", "n": 171, "malignant": 55},
        {"slice": "dx_type", "value": "follow_up", "n": 128, "malignant": 0},
    ]
    alone = {"source": {"value": 0.77}}
    within = [
        {"source": "a", "value": 0.7, "n": 65, "malignant": 30},
        {"source": "b", "value": 0.6, "n": 9, "malignant": 2},
    ]
    shortcuts = {"histology_only": {"value": 0.8}, "model": {"value": 0.9}, "alone": alone, "within_source": within}
    card = render(facts, METRICS | {"slices": kinds, "shortcuts": shortcuts})
    assert "55 of 55 malignant and 116 of 244 benign ones were confirmed by histology" in card
    assert "those alone ROC-AUC is 0.800, on all 0.900" in card
    assert "- a: 0.700 (65 images, 30 malignant)" in card
    assert "- b:" not in card


def test_the_card_names_the_bundle_it_describes(exported, tmp_path):
    digest = open_artifact(exported.path, "bundle").digest
    with new_artifact(tmp_path / "evaluation", "evaluation", {"bundle": digest}) as folder:
        write_json(folder / "metrics.json", METRICS)
    assert digest in bundle_card(exported.path, tmp_path / "evaluation")
    assert bundle_card(exported.path) == (exported.path / "model_card.md").read_text()


def test_a_card_without_training_facts_leaves_them_out(exported):
    facts = json.loads((exported.path / "card.json").read_text())
    card = render(facts | {"training": {}, "environment": {}, "split": {}}, None)
    assert "the data is not described here" in card


def test_estimates_read_as_value_and_interval():
    assert estimate({"value": 0.5, "lower": None, "upper": None}) == "0.500"
    assert estimate(None) == "not estimable"
    assert plain({"schema": "x", "a_b": 0.123456, "deep": {}, "text": "p|q"}) == {"a b": "0.1235", "text": "p/q"}


def test_training_history_gives_time_and_best_validation_figures(tmp_path):
    path = tmp_path / "history.csv"
    assert training_history(path) == {}
    path.write_text("epoch,seconds,val_average_precision,val_roc_auc\n1,10.5,0.5,0.8\n2,9.5,0.6,nan\n")
    facts = training_history(path)
    assert facts == {"epochs_run": 2, "seconds_of_training": 20.0, "best_validation_average_precision": 0.6}
