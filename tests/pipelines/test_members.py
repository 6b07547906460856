"""Several trainings in one run: what a member may differ in, and the loop that a cluster runs them in."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from components.common.runtime.errors import ConfigError
from components.train.config import TrainConfig
from pipelines.check import check_run
from pipelines.check_task import DEMANDS
from pipelines.cluster.compiled import warn_of_deadline
from pipelines.cluster_file import CLUSTERS, COMBINE_TASK, PLAN_TASK, STEPS, Cluster, load_cluster
from pipelines.compile import compile_pipeline
from pipelines.ir import executors, load_documents, placement, step_tasks
from pipelines.local.paths import resolve_paths
from pipelines.local.run import this_machine
from pipelines.parameters import STEP_CONFIGS, merge, validate

SCRATCH = {"architecture": "small_cnn", "weights": "none"}
DATA = {"metadata": "gs://bucket/table.csv", "images": ["gs://bucket/images"], **SCRATCH}
TWO = [{"seed": 1}, {"architecture": "resnet50", "dropout": 0.4, "train.target": "diagnosis"}]
ROOMY = {"parallelism": 0, "timeout_s": 3600, "deadline_s": 3600}
SEVERAL = {"options": {"ensemble.members": 3}}


def members_of(members, **values):
    return validate(merge(DATA, values, {"members": members})).members


def test_a_number_leaves_one_fold_out_in_each_and_counts_the_seeds_up():
    members = members_of(3, seed=7)
    assert [member.name for member in members] == ["fold 0 of 3", "fold 1 of 3", "fold 2 of 3"]
    assert [(m.config.folds, m.config.fold, m.config.seed) for m in members] == [(3, 0, 7), (3, 1, 8), (3, 2, 9)]


def test_a_list_replaces_parameters_of_training_under_any_of_their_names():
    first, second = members_of(TWO, epochs=3)
    assert (first.name, second.name) == ("seed 1", "architecture resnet50, dropout 0.4, targ")
    assert (first.config.seed, first.config.architecture, first.config.epochs) == (1, "small_cnn", 3)
    assert (second.config.dropout, second.config.target, second.config.seed) == (0.4, "diagnosis", 42)


def test_names_and_texts_are_the_same_however_kubeflow_has_sorted_and_rounded_them():
    here = members_of([{"seed": 2, "epochs": 3}, {"seed": 3}])
    there = members_of([{"epochs": 3.0, "seed": 2.0}, {"seed": 3.0}])
    assert [m.text({"weights": "ab"}) for m in here] == [m.text({"weights": "ab"}) for m in there]
    assert here[0].name == "epochs 3, seed 2"


def test_without_members_a_run_is_as_it_was():
    run = validate(DATA)
    assert run.members == ()
    assert "options" in run.values
    assert run.values["options"] == {}


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (1, "ensemble.members: received 1; allowed: 0, a number of folds from 2 to 50, or a list of overrides"),
        ([{"seed": 1}], "allowed: 0, a number of folds"),
        ("three", "ensemble.members: received 'three'"),
        ([{"seed": 1}, {"image_size": "64x64"}], "ensemble.members.1: received image_size, which members share: one"),
        ([{"seed": 1}, {"checkpoint_dir": "/x"}], "received checkpoint_dir, which members share: each member has"),
        ([{"seed": 1}, {"label_policy": "isic"}], "received label_policy, a parameter of ingest, which runs once"),
        ([{"records.record_size": 9}, {"seed": 1}], r"ensemble.members.0: received records.record_size, .* of records"),
        ([{"seed": 1}, {"sead": 1}], "ensemble.members.1: unknown parameter 'sead': did you mean 'seed'"),
        ([{"seed": 1}, {"epochs": "many"}], "ensemble.members.1: train.epochs: received 'many'; allowed: an integer"),
        (
            [{"seed": 1}, {"freeze_until": "x"}],
            "train.freeze_until: received 'x' with weights none",
        ),
        ([{"seed": 42}, {}], "ensemble.members: 0 and 1 have the same parameters"),
    ],
)
def test_members_that_cannot_be_are_refused_with_the_reason(members, message):
    with pytest.raises(ConfigError, match=message):
        members_of(members)


def test_a_number_of_members_beside_folds_is_refused():
    with pytest.raises(ConfigError, match=r"received 3 with train\.folds 5; allowed: one of the two"):
        members_of(3, **{"train.folds": 5})


def test_weights_of_a_member_are_looked_for_on_this_machine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "table.csv").touch()
    given = {**SCRATCH, "metadata": "table.csv", "images": ["."], "members": [{"weights": "w.npz"}, {"seed": 1}]}
    with pytest.raises(ConfigError, match=r"weights: received 'w\.npz', which does not exist"):
        resolve_paths(validate(merge(given)))
    (tmp_path / "w.npz").touch()
    assert resolve_paths(validate(merge(given))).members[0].config.weights == str(tmp_path / "w.npz")


@pytest.fixture
def data(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(b"no image, but one by its name")
    (tmp_path / "table.csv").write_text("image_id,label\na,benign\n")
    return {"metadata": str(tmp_path / "table.csv"), "images": [str(tmp_path / "images")], **SCRATCH}


def test_the_check_hands_on_a_text_for_each_member_with_the_weights_it_reads(data, tmp_path):
    np.savez(tmp_path / "w.npz", kernel=np.zeros(1))
    values = merge(data, {"members": [{"weights": str(tmp_path / "w.npz")}, {"seed": 5}], "combine": "best"})
    *_, texts, how = check_run(values, {}, rounds=ROOMY)
    first, second = map(json.loads, texts)
    assert how == "best"
    assert set(first["reads"]) == {"weights"}
    assert "reads" not in second
    assert second.pop("member") == "seed 5"
    assert TrainConfig.parse(second).seed == 5


def test_the_kind_of_pipeline_and_the_members_of_a_run_must_fit(data):
    with pytest.raises(ConfigError, match="received 3; this pipeline was compiled for a single model"):
        check_run(merge(data, {"members": 3}), {})
    with pytest.raises(ConfigError, match="received 0; this pipeline was compiled for several models"):
        check_run(merge(data), {}, rounds=ROOMY)
    with pytest.raises(ConfigError, match=r"weights: received '/no\.npz'; there is no such file"):
        check_run(merge(data, {"members": [{"weights": "/no.npz"}, {"seed": 1}]}), {}, rounds=ROOMY)


@pytest.mark.parametrize(("training", "warned"), [({"parallelism": 1}, True), ({"parallelism": 2}, False), ({}, False)])
def test_members_that_may_outlast_the_deadline_are_warned_of_before_anything_is_sent(training, warned, capsys):
    cluster = Cluster.parse({"training": {"timeout_s": 7200, **training}, "deadline_s": 14_400})
    warn_of_deadline(cluster, 4)
    assert capsys.readouterr().err == (
        "warning: 4 members, 1 at a time (training.parallelism), may take 28800 s if each trains for "
        "training.timeout_s = 7200 s, and the whole run has deadline_s = 14400 s; raise "
        "deadline_s or parallelism, or lower timeout_s, in the cluster file or with --set-cluster\n"
        if warned
        else ""
    )


@pytest.mark.parametrize(("parallelism", "warned"), [(1.0, True), (2.0, False), (0, False)])  # 1.0, as KFP hands it on
def test_the_first_task_says_it_too_for_the_members_of_its_run(data, parallelism, warned, caplog):
    rounds = {"parallelism": parallelism, "timeout_s": 7200.0, "deadline_s": 14_400}
    check_run(merge(data, {"members": 4}), {}, rounds=rounds)
    said = "4 members, 1 at a time (training.parallelism), may take 28800 s if each trains for training.timeout_s"
    assert (said in caplog.text) is warned


def test_a_local_run_has_no_deadline_that_its_members_could_outlast():
    assert this_machine().rounds.warning(100) == ""


@pytest.fixture(scope="module")
def looped():
    cluster = load_cluster("gke-l4")
    cluster = cluster.model_copy(update={"training": cluster.training.model_copy(update={"parallelism": 2})})
    return load_documents(compile_pipeline(cluster, SEVERAL))


def test_the_loop_goes_over_texts_and_holds_the_training_alone(looped):
    spec, _ = looped
    steps = spec["components"]["comp-steps"]["dag"]["tasks"]
    loop = steps["for-loop-1"]
    assert loop["parameterIterator"]["items"] == {"inputParameter": "pipelinechannel--plan-Output"}
    assert loop["iteratorPolicy"] == {"parallelismLimit": 2}
    given = steps["check"]["inputs"]["parameters"]["rounds"]["runtimeValue"]["constant"]
    assert given == {"parallelism": 2, "timeout_s": 86_400, "deadline_s": 172_800}
    inner = spec["components"]["comp-for-loop-1"]
    assert set(inner["dag"]["tasks"]) == {"train"}
    types = {name: one["parameterType"] for name, one in inner["inputDefinitions"]["parameters"].items()}
    assert types["pipelinechannel--plan-Output-loop-item"] == "STRING"  # a STRUCT the real server refuses
    assert types["pipelinechannel--gpu_node_selector"] == "STRUCT"
    config = inner["dag"]["tasks"]["train"]["inputs"]["parameters"]["config"]
    assert config == {"componentInputParameter": "pipelinechannel--plan-Output-loop-item"}
    assert spec["components"]["comp-train"]["inputDefinitions"]["parameters"]["config"]["parameterType"] == "STRING"


def test_each_member_keeps_what_a_single_training_has(looped):
    spec, platform = looped
    plain, plain_platform = load_documents(compile_pipeline(load_cluster("gke-l4")))
    task, alone = (step_tasks(one)["train"] for one in (spec, plain))
    assert task["retryPolicy"] == alone["retryPolicy"]
    here, there = placement(platform)["train"], placement(plain_platform)["train"]
    assert executors(spec)["train"]["resources"] == executors(plain)["train"]["resources"]
    for name in set(there) - {"nodeSelector", "tolerations"}:
        assert here[name] == there[name], name
    parameter = "pipelinechannel--gpu_node_selector"  # as the loop calls it
    assert here["nodeSelector"]["nodeSelectorJson"]["componentInputParameter"] == parameter


def test_calibrate_export_and_evaluate_take_the_combined_model(looped):
    spec, _ = looped
    tasks = step_tasks(spec)
    assert set(tasks) == {*STEPS, PLAN_TASK, COMBINE_TASK, "report-end"}
    for step in ("calibrate", "export", "evaluate"):
        model = tasks[step]["inputs"]["artifacts"]["model"]["taskOutputArtifact"]
        assert model == {"outputArtifactKey": "model", "producerTask": COMBINE_TASK}
    collected = tasks[COMBINE_TASK]["inputs"]["artifacts"]["members"]["taskOutputArtifact"]
    assert collected == {"outputArtifactKey": "pipelinechannel--train-model", "producerTask": "for-loop-1"}
    assert "accelerator" not in executors(spec)[COMBINE_TASK].get("resources", {})


def test_a_pipeline_for_a_single_model_has_no_loop_and_no_further_pod():
    spec, _ = load_documents(compile_pipeline(Cluster()))
    assert set(step_tasks(spec)) == {*STEPS, "report-end"}
    assert "iterator" not in json.dumps(spec).lower()
    handed_on = set(spec["components"]["comp-check"]["outputDefinitions"]["parameters"])
    assert handed_on == {*STEP_CONFIGS, DEMANDS}


def test_every_example_cluster_compiles_to_equal_bytes_in_any_process():
    code = """if True:
        import json, sys
        from components.common.artifacts.folder import sha256_bytes
        from pipelines.cluster_file import CLUSTERS, load_cluster
        from pipelines.compile import compile_pipeline
        names = sorted(path.stem for path in CLUSTERS.glob("*.yaml"))
        several = {"options": {"ensemble.members": 3}}
        print({name: sha256_bytes(compile_pipeline(load_cluster(name), several).encode()) for name in names})
    """
    made = [
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    ]
    assert made[0] == made[1]
    assert made[0].count(":") == len(list(CLUSTERS.glob("*.yaml")))


def test_the_split_is_asked_for_as_many_groups_as_there_are_folds(data):
    *_, asked, _, _ = check_run(merge(data, {"members": 4}), {}, rounds=ROOMY)
    assert (asked["train_folds"], asked["train_folds_name"]) == (4, "ensemble.members")
    listed = [{"train.folds": 5, "train.fold": 4}, {"train.folds": 3}]
    *_, asked, _, _ = check_run(merge(data, {"members": listed}), {}, rounds=ROOMY)
    assert (asked["train_folds"], asked["train_fold"], asked["train_folds_name"]) == (5, 4, "train.folds")
