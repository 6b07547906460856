"""One model of several members: in the order of the plan, the mean as the command makes it, or the best unchanged."""

import json

import pytest

from components.common.artifacts.folder import open_artifact
from components.common.artifacts.model import open_model
from components.common.runtime.errors import ArtifactError
from components.train import combine, ensemble
from components.train.run import run


def text(config, name):
    return json.dumps({"member": name, "reads": {}, **config.model_dump(mode="json", exclude_none=True)})


@pytest.fixture(scope="module")
def trained(records, tiny, tmp_path_factory):
    root = tmp_path_factory.mktemp("combine")
    configs = [tiny(folds=2, fold=k, seed=k, epochs=3 - k) for k in range(2)]
    for k, config in enumerate(configs):
        run(config, records, root / str(k), member=True)
    return [root / "0", root / "1"], [text(config, f"fold {k} of 2") for k, config in enumerate(configs)]


def test_the_mean_is_what_the_command_makes_of_finished_models_to_the_byte(trained, tmp_path):
    models, planned = trained
    result = combine.run(models[::-1], planned, "mean", tmp_path / "in_a_run")
    ensemble.run(models, tmp_path / "by_hand")
    in_a_run, by_hand = (open_artifact(tmp_path / name, "model") for name in ("in_a_run", "by_hand"))
    assert in_a_run.digest == by_hand.digest
    record = open_model(tmp_path / "in_a_run").ensemble["over_members"]["average_precision"]
    assert result.figures["average_precision"] == record["after"]
    assert result.figures["members_average_precision"] == record["before"]


def test_the_best_is_shipped_as_it_is_with_a_record_of_those_it_was_chosen_from(trained, tmp_path):
    models, planned = trained
    result = combine.run(models, planned, "best", tmp_path / "best")
    best, members = open_model(tmp_path / "best"), [open_model(path) for path in models]
    figures = [one["average_precision"] for one in best.selection["members"]]
    chosen = best.selection["chosen"]
    assert figures[chosen] == max(figures) == result.figures["average_precision"]
    assert {name: digest for name, digest in best.artifact.files.items() if name != "selection.json"} == (
        members[chosen].artifact.files
    )
    assert [one["name"] for one in best.selection["members"]] == ["fold 0 of 2", "fold 1 of 2"]
    assert best.artifact.made_from["records"] == members[0].artifact.made_from["records"]
    assert {one.artifact.digest for one in members} < set(best.artifact.made_from.values())
    assert best.facts.members is None


def test_models_that_were_not_trained_as_planned_are_refused(trained, tiny, tmp_path):
    models, planned = trained
    other = text(tiny(seed=99), "seed 99")
    with pytest.raises(ArtifactError, match="member seed 99: none of the 2 models was trained with its parameters"):
        combine.run(models, [planned[0], other], "mean", tmp_path / "out")
    with pytest.raises(ArtifactError, match="was trained with parameters of no member of this run"):
        combine.run(models, planned[:1], "best", tmp_path / "out")


def test_members_of_one_run_save_what_they_resume_from_apart(records, tiny, tmp_path, monkeypatch):
    for name, value in (("LESIONFLOW_CHECKPOINT_ROOT", str(tmp_path)), ("LESIONFLOW_RUN_ID", "run-7")):
        monkeypatch.setenv(name, value)
    for seed in (1, 2):
        run(tiny(epochs=1, warmup_epochs=0, seed=seed), records, tmp_path / f"model{seed}", member=True)
    folders = sorted((tmp_path / "run-7").iterdir())
    assert len(folders) == 2
    assert all(path.name.startswith("member-") and (path / "resume.ckpt").is_file() for path in folders)
