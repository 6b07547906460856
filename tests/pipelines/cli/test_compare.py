"""`lesionflow compare`: parameters that differ, figures, and the paired difference on the same test images."""

import json
from dataclasses import replace

import numpy as np
import pytest

from components.common.artifacts.folder import new_artifact
from components.common.artifacts.json_file import write_json
from components.common.artifacts.policy import Calibrator, DecisionPolicy
from components.common.artifacts.scores import save_scores
from components.evaluate import context
from components.evaluate.analysis import Inputs, Settings, analyse
from pipelines.cli.main import main
from pipelines.local.run import SCHEMA
from pipelines.parameters import merge, validate

GIVEN = {"metadata": "t.csv", "images": ["i"]}


def write_run(folder, scores, parameters=None, training=None):
    """A run's folder as far as a comparison reads it: `run.json`, where there are parameters, and the evaluation."""
    names = ("age", "sex", "localization", "dx", "dx_type", "dataset")
    columns = {name: np.full(len(scores), np.nan if name == "age" else "unknown") for name in names}
    columns |= dict.fromkeys(("control_metadata", "control_dx_type", "control_source"), np.zeros(len(scores)))
    point = dict.fromkeys(("sensitivity", "lesion_sensitivity", "sensitivity_lower", "specificity"), 0.9)
    point = {
        "policy": "lower_bound",
        "target_sensitivity": 0.9,
        "delta": 0.05,
        **point,
        "chance": 0.9,
        "guarantee": "none",
    }
    counts = {"n": 5, "malignant": 1, "groups": 5, "malignant_groups": 1}
    policy = DecisionPolicy(Calibrator("none"), 0.0, 0.5, point, counts, 0.2, "0" * 64, "0" * 64)
    with new_artifact(folder / "evaluate", "evaluation", {"bundle": "0" * 64}) as made:
        save_scores(made / "test_probs.npz", scores)
        policy.save(made / "decision_policy.json")
        analyse(Inputs(scores, columns, policy), Settings(200, 0)).save(made / "metrics.json")
        write_json(made / context.FILE, {"schema": context.SCHEMA, "training": {"training_config": training or {}}})
    if parameters is not None:
        values = validate(merge(GIVEN, parameters)).values
        write_json(folder / "run.json", {"schema": SCHEMA, "parameters": values})
    return folder


@pytest.fixture(scope="module")
def runs(sim, tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    scores = sim(200, 0)
    noise = np.random.default_rng(1).normal(0, 1.5, len(scores))
    worse = replace(scores, logit=scores.logit + noise).take(np.arange(len(scores))[::-1])
    write_run(root / "first", scores, {"epochs": 8, "calibrate.delta": 0.1})
    write_run(root / "second", worse, {"epochs": 12, "seed": 1}, {"epochs": 12, "dropout": 0.2})
    write_run(root / "other", sim(100, 5, prefix="X"), {"epochs": 8, "calibrate.delta": 0.1})
    write_run(root / "bare", scores, training={"epochs": 9, "dropout": 0.2})
    return root


def compared(capsys, *folders):
    assert main(["compare", "--json", *map(str, folders)]) == 0
    return json.loads(capsys.readouterr().out)


def test_only_parameters_that_differ_are_listed_and_a_default_counts_as_set(runs, capsys):
    found = compared(capsys, runs / "first", runs / "second")
    assert found["parameters"] == {
        "calibrate.delta": {"first": 0.1, "second": 0.05},
        "epochs": {"first": 8, "second": 12},
        "seed": {"first": 42, "second": 1},
    }


def test_the_same_images_in_another_order_give_a_paired_difference_from_the_first(runs, capsys):
    found = compared(capsys, runs / "first", runs / "second")
    apart = found["against_the_first"]["second"]
    assert apart["fault"] == ""
    assert apart["difference"]["roc_auc"]["upper"] < 0
    figures = {name: found["test"][name]["figures"]["roc_auc"]["value"] for name in ("first", "second")}
    assert apart["difference"]["roc_auc"]["value"] == pytest.approx(figures["second"] - figures["first"])


def test_the_text_has_every_run_under_each_figure_and_warns_of_choosing_on_test(runs, capsys):
    assert main(["compare", *map(str, (runs / "first", runs / "second", runs / "other"))]) == 0
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 78
    block = said.partition("  ROC-AUC\n")[2].splitlines()
    assert block[0].startswith("    first   0.") and block[0].endswith(")")
    assert block[1].startswith("    second  0.") and "  -0." in block[1]
    assert "  epochs\n    first   8\n    second  12\n    other   8\n" in said
    assert "other: no paired difference: other test images or labels (" in said
    assert "Choosing a run by these figures is choosing on the test set" in said.replace("\n  ", " ")


def test_a_bare_evaluation_is_compared_by_what_it_records(runs, capsys):
    found = compared(capsys, runs / "second", runs / "bare" / "evaluate")
    assert found["parameters_of_training_only"] == ["evaluate"]
    assert found["parameters"] == {"epochs": {"second": 12, "evaluate": 9}}


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (("first",), "received one run"),
        (("first", "first"), "twice; allowed: different runs"),
        (("first", "."), "holds no evaluation; allowed: a folder of lesionflow run or fetch, or an evaluation"),
    ],
)
def test_what_cannot_be_compared_is_refused(runs, capsys, folders, message):
    assert main(["compare", *(str(runs / name) for name in folders)]) == 2
    assert message in capsys.readouterr().err


def test_a_changed_evaluation_is_refused(runs, sim, tmp_path, capsys):
    changed = write_run(tmp_path / "changed", sim(50, 7), {})
    (changed / "evaluate" / "metrics.json").write_text("{}")
    assert main(["compare", str(runs / "first"), str(changed)]) == 1
    assert "metrics.json: sha256 is" in capsys.readouterr().err
