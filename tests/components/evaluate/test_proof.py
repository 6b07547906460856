"""An evaluation is judged by what its scores give and what the run asked for, not by what its files say."""

import json
import shutil

import numpy as np
import pytest

from components.common.artifacts.folder import new_artifact, open_artifact
from components.common.artifacts.json_file import dump_json
from components.common.artifacts.scores import load_extra, load_scores, save_scores
from components.common.runtime.errors import ArtifactError, GateError
from components.evaluate.config import EvaluateConfig
from components.evaluate.proof import enforce
from components.evaluate.run import run

HIGH = "ap.lower >= 0.999"
CONDITIONS = ["auc >= 0.5", HIGH]
ASKED = EvaluateConfig.parse({"resamples": 200, "cases": 1, "gate": CONDITIONS})


@pytest.fixture(scope="module")
def original(shipped, tmp_path_factory):
    """A whole evaluation that misses one of two conditions."""
    out = tmp_path_factory.mktemp("original") / "evaluation"
    run(ASKED, shipped.bundle, shipped.split, shipped.model, shipped.records, out)
    return out


@pytest.fixture
def written_again(original, tmp_path):
    """The evaluation after an edit by somebody who also makes its hashes right."""
    made_from = open_artifact(original, "evaluation").made_from

    def make(edit):
        with new_artifact(tmp_path / "evaluation", "evaluation", made_from) as out:
            shutil.copytree(original, out, dirs_exist_ok=True, ignore=shutil.ignore_patterns("artifact.json"))
            edit(out)
        return tmp_path / "evaluation"

    return make


def changed(path, change):
    """Writes a JSON document after `change` of its content."""
    record = json.loads(path.read_text())
    path.write_text(dump_json(change(record)))


def without_the_high_one(folder):
    def gate(record):
        kept = [one for one in record["conditions"] if one["condition"] != HIGH]
        return record | {"passed": True, "conditions": kept}

    changed(folder / "gate.json", gate)


def and_in_the_context(folder):
    without_the_high_one(folder)
    changed(folder / "context.json", lambda c: c | {"settings": c["settings"] | {"gate": CONDITIONS[:1]}})


def test_missed_and_passed_conditions_are_listed_with_their_numbers(original):
    said = r"1 of 2 release conditions not met; missed: ap.lower >= 0.999 \(0\.\d+\); passed: auc >= 0.5 \(0\.\d+\)"
    for asked in (ASKED, None):
        with pytest.raises(GateError, match=said):
            enforce(original, asked)


def test_what_was_not_edited_passes(evaluated, shipped, tmp_path):
    evaluated(tmp_path / "evaluation", shipped.bundle, ["auc >= 0.5"])
    asked = EvaluateConfig.parse({"resamples": 200, "gate": ["auc >= 0.5"]})
    assert [one.passed for one in enforce(tmp_path / "evaluation", asked)] == [True]
    assert [one.passed for one in enforce(tmp_path / "evaluation")] == [True]
    assert enforce(evaluated(tmp_path / "unconditional", shipped.bundle)) == []


def test_a_gate_without_the_condition_that_was_missed_does_not_pass(written_again):
    said = r"settings: gate is \['auc >= 0.5'\], this run was given \['auc >= 0.5', 'ap.lower >= 0.999'\]"
    with pytest.raises(ArtifactError, match=said):
        enforce(written_again(and_in_the_context), ASKED)


def test_without_the_run_the_evaluation_must_agree_with_itself(written_again):
    with pytest.raises(ArtifactError, match=r"context\.json has \['auc >= 0.5', 'ap.lower >= 0.999'\]"):
        enforce(written_again(without_the_high_one))


def passed(folder):
    def gate(record):
        return record | {"passed": True, "conditions": [one | {"passed": True} for one in record["conditions"]]}

    changed(folder / "gate.json", gate)


def better(folder):
    """A figure and the verdict that it gives, both edited."""
    changed(folder / "metrics.json", lambda m: m | {"average_precision": m["average_precision"] | {"lower": 0.9995}})

    def gate(record):
        first, second = record["conditions"]
        return record | {"passed": True, "conditions": [first, second | {"passed": True, "received": 0.9995}]}

    changed(folder / "gate.json", gate)


def hidden(folder):
    changed(folder / "metrics.json", lambda m: m | {"slices": m["slices"][1:]})


def one_digit(folder):
    changed(folder / "metrics.json", lambda m: m | {"sensitivity": m["sensitivity"] | {"lower": 0.999}})


def trusted(folder):
    changed(folder / "trust.json", lambda t: t | {"lines": [one | {"level": "green"} for one in t["lines"]]})


def asked_otherwise(folder):
    """A question that the software never asked, above an answer that it gave."""
    asked = "Was it tested at another clinic?"
    changed(folder / "trust.json", lambda t: t | {"lines": [*t["lines"][:-1], t["lines"][-1] | {"question": asked}]})


def table(folder):
    path = folder / "predictions.csv"
    path.write_text(path.read_text().replace("benign", "malignant", 1))


def counts(folder):
    def moved(record):
        read = record["read"]
        record["read"] = read | {"malignant": read["malignant"] - 1, "benign": read["benign"] + 1}
        return record

    changed(folder / "lineage.json", moved)


def scores(folder):
    found, columns = load_scores(folder / "test_probs.npz"), load_extra(folder / "test_probs.npz")
    found.logit[found.label == 1] += 3.0
    found.probability[:] = 1 / (1 + np.exp(-found.logit))
    save_scores(folder / "test_probs.npz", found, columns)


def another_bundle(folder):
    changed(folder / "context.json", lambda c: c | {"provenance": c["provenance"] | {"bundle": {"digest": "0" * 64}}})


def another_seed(folder):
    changed(folder / "context.json", lambda c: c | {"settings": c["settings"] | {"seed": 7}})


def many_resamples(folder):
    changed(folder / "context.json", lambda c: c | {"settings": c["settings"] | {"resamples": 10**12}})


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (passed, r"gate\.json: its verdict on 'ap.lower >= 0.999' is not what metrics\.json gives"),
        (better, r"metrics\.json: average_precision\.lower is not what test_probs\.npz gives"),
        (hidden, r"metrics\.json: slices is not what"),
        (one_digit, r"metrics\.json: sensitivity\.lower is not what"),
        (trusted, r"trust\.json: target_sensitivity: its answers are not those that the figures give"),
        (asked_otherwise, r"trust\.json: external_data: its answers are not those that the figures give"),
        (table, r"predictions\.csv: not what the figures give"),
        (counts, r"lineage\.json: .* do not add up"),
        (scores, r"metrics\.json: .* is not what test_probs\.npz gives"),
        (another_bundle, r"context\.json: provenance: its digests are not those of artifact\.json"),
        (another_seed, r"settings: seed is 7, this run was given 0"),
        (many_resamples, r"context\.json: settings: .*resamples"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_an_edit_with_consistent_hashes_is_refused(written_again, edit, said):
    with pytest.raises(ArtifactError, match=said):
        enforce(written_again(edit), ASKED)


def test_questions_in_an_earlier_wording_and_without_keys_are_the_same_claims(written_again):
    earlier = {
        "How many malignant lesions is this based on?": "How many malignant lesions stand behind this?",
        "What ROC-AUC does the table alone reach?": "How much of the ROC-AUC can be had from the table alone?",
    }

    def reworded(folder):
        def line(one):
            return {name: earlier.get(value, value) for name, value in one.items() if name != "key"}

        changed(folder / "trust.json", lambda t: t | {"lines": [line(one) for one in t["lines"]]})

    with pytest.raises(GateError, match="1 of 2 release conditions not met"):  # its figures, not its words
        enforce(written_again(reworded), ASKED)


def test_an_edit_without_is_refused_by_its_hash(original, tmp_path):
    shutil.copytree(original, tmp_path / "copy")
    passed(tmp_path / "copy")
    with pytest.raises(ArtifactError, match=r"gate\.json: sha256 is"):
        enforce(tmp_path / "copy", ASKED)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda record: record | {"passed": True}, "passed is True, which contradicts its conditions"),
        (lambda record: record | {"conditions": [{"condition": "f1 > 0"}]}, "not a readable gate"),
        (lambda record: {"schema": record["schema"]}, "not a readable gate"),
        (lambda record: record | {"conditions": 3}, "not a readable gate"),
    ],
)
def test_a_damaged_gate_is_refused(written_again, edit, said):
    with pytest.raises(ArtifactError, match=said):
        enforce(written_again(lambda folder: changed(folder / "gate.json", edit)), ASKED)


def test_a_folder_without_gate_is_not_an_evaluation(tmp_path):
    with pytest.raises(ArtifactError, match=r"artifact\.json"):
        enforce(tmp_path)
