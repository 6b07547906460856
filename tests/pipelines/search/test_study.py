"""A search on real records: every trial in table and picture, hopeless ones stopped, a killed one repeated."""

import csv

import pytest
import yaml

from components.common.artifacts.json_file import read_json
from components.common.runtime.errors import ConfigError
from components.train import run as run_module
from pipelines.cli.main import main
from pipelines.search.results import SearchError, Trial, table_lines, trials_svg
from pipelines.search.space import load_search
from pipelines.search.study import run_search, write_results

PRESET = {
    "architecture": "small_cnn",
    "weights": "none",
    "image_size": "72x96",
    "epochs": 2,
    "search": {"space": {"learning_rate": {"low": 0.0005, "high": 0.01, "log": True}}, "trials": 3},
}


@pytest.fixture
def preset(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(PRESET))
    return str(path)


class Killed(BaseException):
    """Ends a search where it stands, as kill -9 does."""


def test_a_killed_search_goes_on_and_tells_of_all_trials(finished, preset, tmp_path, monkeypatch, capsys):
    original, begun = run_module.run, []

    def counted(config, *rest, **more):
        begun.append(config.learning_rate)
        if len(begun) == 2:
            raise Killed
        return original(config, *rest, **more)

    monkeypatch.setattr(run_module, "run", counted)
    command = [
        "search",
        "--preset",
        preset,
        "--records",
        str(finished.out / "records"),
        "--out",
        str(tmp_path / "found"),
    ]
    with pytest.raises(Killed):
        main(command)
    assert main(command) == 0
    assert len(begun) == 4
    assert begun[2] == begun[1]  # the trial that was killed is repeated
    found = read_json(tmp_path / "found" / "search.json", "lesionflow.search/1")
    assert found["tried"] == 3
    best = max(found["trials"], key=lambda one: one["average_precision"])
    assert found["best"] == best["number"]
    rows = list(csv.DictReader((tmp_path / "found" / "trials.csv").open()))
    assert sorted(float(row["learning_rate"]) for row in rows) == pytest.approx(sorted({*begun}))
    chosen = yaml.safe_load((tmp_path / "found" / "best.yaml").read_text())
    assert chosen["learning_rate"] == best["parameters"]["learning_rate"]
    assert chosen["options"]["train.search_trials"] == 3
    shown = capsys.readouterr().out
    assert "3 trials: 3 complete; the test split was not read" in shown
    assert not (tmp_path / "found" / "trial").exists()
    assert main([*command, "--set", "epochs=3"]) == 2
    assert "is of a search with other parameters or records" in capsys.readouterr().err


def test_a_trial_below_the_median_of_those_before_is_stopped(finished, tmp_path, monkeypatch):
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({**PRESET, "epochs": 3}))
    search = load_search(str(tmp_path / "mine.yaml"), {"search.trials": 6})
    calls = []

    class Result:
        average_precision, roc_auc, best_epoch = 0.7, 0.8, 3

    def as_good_as(config, records, folder, *, watch):
        calls.append(0)
        for epoch in (1, 2, 3):
            calls[-1] = epoch
            watch({"epoch": epoch, "val_average_precision": 0.7 if len(calls) < 6 else 0.2})
        return Result()

    monkeypatch.setattr(run_module, "run", as_good_as)
    ranked = run_search(search, finished.out / "records", tmp_path / "found")
    assert [one.state for one in ranked] == ["complete"] * 5 + ["stopped"]
    assert (ranked[-1].average_precision, ranked[-1].epochs, calls) == (0.2, 2, [3, 3, 3, 3, 3, 2])


def trial(number, state, precision):
    return Trial(number, state, {"dropout": number / 10}, precision, None, None, 2, 1.0)


def test_the_table_and_the_picture_hold_the_stopped_and_the_failed_too():
    trials = [trial(0, "complete", 0.5), trial(1, "failed", None), trial(2, "stopped", 0.3), trial(3, "complete", 0.6)]
    lines = table_lines(sorted(trials, key=lambda one: -(one.average_precision or 0)))
    assert lines[0] == "4 trials: 2 complete, 1 stopped, 1 failed; the test split was not read"
    assert lines[1].startswith("  trial 3    average precision 0.6000  dropout 0.3")
    svg = trials_svg(trials)
    assert svg.startswith("<svg ")
    assert "Average precision on validation of 4 trials" in svg


def test_a_search_without_a_model_says_so(finished, preset, tmp_path):
    with pytest.raises(SearchError, match="none of 1 trials gave a model"):
        write_results(load_search(preset, {}), [trial(0, "failed", None)], finished.out / "records", tmp_path)


def test_a_folder_of_something_else_is_refused(finished, preset, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("mine")
    with pytest.raises(ConfigError, match="holds something else; allowed: a new or an empty folder"):
        run_search(load_search(preset, {}), finished.out / "records", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.tex"]
