"""A run is refused before anything is written, by one line that names the parameter; each parameter stands once."""

import pytest

from components.common.runtime.errors import ConfigError
from components.common.runtime.yaml_text import parse_assignments
from components.common.statistics.feasibility import Demands, GroupCounts, SplitCounts, changes_that_work
from pipelines.check import demands
from pipelines.cluster_file import Cluster
from pipelines.local.paths import resolve_paths
from pipelines.parameters import (
    FLAT,
    OPTIONS,
    PRESETS,
    STEP_CONFIGS,
    cluster_options,
    field_of,
    load_preset,
    merge,
    option_names,
    validate,
)

GATE = ["sensitivity.lower >= 0.9"]
DATA = {"metadata": "table.csv", "images": ["images"]}


def test_the_ui_has_at_most_twenty_parameters():
    assert len(FLAT) + 1 <= 20


def test_every_field_of_every_step_can_be_set():
    reachable = {target for targets in FLAT.values() for target in targets} | set(option_names())
    assert reachable >= {f"{step}.{name}" for step, config in STEP_CONFIGS.items() for name in config.model_fields}


def test_steps_that_share_a_parameter_share_its_default():
    for targets in FLAT.values():
        defaults = [field_of(target).get_default(call_default_factory=True) for target in targets]
        assert all(default == defaults[0] for default in defaults), targets


@pytest.mark.parametrize("path", sorted(PRESETS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_preset_is_valid(path, capsys):
    validate(merge(DATA, {"weights": "weights.npz"}, load_preset(path.stem)))
    assert "deprecated" not in capsys.readouterr().err


@pytest.mark.parametrize("path", sorted(PRESETS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_preset_states_figure_time_hardware_and_command(path):
    head = [line for line in path.read_text().splitlines() if line.startswith("#")]
    for part in ("Expected figure: ", "Time: ", "Hardware", "Command: "):
        assert any(part in line for line in head), f"{path.name} does not state {part!r}"


def test_defaults_are_valid_and_are_the_steps_own():
    run = validate(DATA)
    assert run.values["epochs"] == run.steps["train"].epochs == 20
    assert run.values[OPTIONS] == {}


def test_a_configuration_survives_the_way_to_its_step():
    run = validate(merge(DATA, {"train.schedule": "plateau", "records.record_size": "original", "epochs": 3}))
    for step, values in run.step_values().items():
        assert STEP_CONFIGS[step].parse(values) == run.steps[step], step
        assert None not in values.values()
    assert run.steps["records"].record_size is None


def test_the_records_have_the_short_side_of_the_network_unless_asked_otherwise():
    assert validate({**DATA, "image_size": "144x192"}).steps["records"].record_size == 144
    assert validate(merge(DATA, {"records.record_size": 96})).steps["records"].record_size == 96


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": "many"}, "epochs: received 'many'; allowed: an integer"),
        ({"batch_size": 0}, "batch_size: received 0"),
        ({"recipe": "random"}, "recipe: received 'random'"),
        ({"architecture": "resnet51"}, "resnet50"),
        ({"image_size": "big"}, "image_size: received 'big'"),
        ({"target_sensitivity": 1.5}, "target_sensitivity: received 1.5"),
        ({"calibration": "plat"}, "calibration: received 'plat'; did you mean 'platt'?"),
        ({"gate_conditions": ["auc >"]}, "gate_conditions: received"),
        ({"gate_conditions": ["champion.auc_difference >= 0"]}, "gate_conditions and champion: received the condition"),
        ({"max_lost_pct": -1}, "max_lost_pct: received -1"),
        ({"images": []}, "images: received [], which is empty"),
        ({"images": "a,b"}, "images: received 'a,b', which is one text; allowed: a list of text"),
        ({"gpu_tolerations": [{"kez": "x"}]}, "kez"),
        ({"options": {"train.schedul": "cosine"}}, "'train.schedul': did you mean 'train.schedule'?"),
        ({"options": {"train.warmup_epochs": 30}}, "train.warmup_epochs: received 30 with epochs 20"),
        ({"options": {"calibrate.delta": 2}}, "calibrate.delta: received 2; allowed: a number > 0 and < 0.5"),
        ({"options": {"train.epochs": 3}}, "options: received train.epochs, which is a parameter of the pipeline"),
        ({"options": [1]}, "options: received [1]; allowed: a mapping"),
    ],
)
def test_a_bad_value_names_the_parameter_as_it_is_set(values, message):
    with pytest.raises(ConfigError) as caught:
        validate({**DATA, **values})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_bad_value_of_every_step_has_its_line():
    with pytest.raises(ConfigError) as caught:
        validate({**DATA, "max_lost_pct": -1, "epochs": 0, "options": {"calibrate.delta": 2}})
    names = [line.partition(":")[0] for line in str(caught.value).splitlines()]
    assert names == ["max_lost_pct", "epochs", "calibrate.delta"]


def test_without_data_the_run_is_refused():
    with pytest.raises(ConfigError, match="metadata: missing"):
        validate({"images": ["x"]})


def test_a_later_layer_wins_and_options_are_merged_one_by_one():
    merged = merge({"epochs": 3, "train.schedule": "plateau"}, {"epochs": 5, "options": {"train.augment_flip": False}})
    assert merged == {"epochs": 5, "options": {"train.schedule": "plateau", "train.augment_flip": False}}


def test_an_option_with_a_flat_name_is_that_parameter():
    assert merge({"train.epochs": 3, "options": {"evaluate.gate": []}}) == {"epochs": 3, "gate_conditions": []}


def test_how_the_table_is_read_has_no_step_in_front():
    asked = merge(DATA, {"columns": {"image_id": "filename"}}, parse_assignments(["licences=[CC-0]"]))
    ingest = validate(asked).steps["ingest"]
    assert (ingest.columns, ingest.licences) == ({"image_id": "filename"}, ["CC-0"])


def test_a_shared_parameter_can_be_set_for_one_step_alone():
    run = validate(merge(DATA, {"seed": 1, "train.seed": 2}))
    assert (run.steps["split"].seed, run.steps["train"].seed) == (1, 2)
    assert merge({"train.seed": 2}, {"seed": 1}) == {"seed": 1}


@pytest.mark.parametrize(
    "old", [{"train_options": {"schedule": "plateau"}}, {"train_options.schedule": "plateau"}, {"schedule": "plateau"}]
)
def test_old_names_of_training_options_still_count_with_a_warning(old, capsys):
    assert merge(old) == {"options": {"train.schedule": "plateau"}}
    assert "deprecated" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("epoch", "did you mean 'epochs'?"),
        ("lr", "did you mean 'learning_rate'?"),
        ("folds", "did you mean 'train.folds' or 'calibrate.folds'?"),
        ("delta", "did you mean 'calibrate.delta'?"),
        ("calibrate.fold", "did you mean 'calibrate.folds'?"),
    ],
)
def test_an_unknown_name_is_refused_with_the_one_probably_meant(name, hint):
    with pytest.raises(ConfigError, match=f"unknown parameter '{name}': ") as caught:
        merge({name: 2})
    assert hint in str(caught.value)


def test_the_cluster_file_sets_options_that_a_run_can_change():
    ours = cluster_options(Cluster.parse({"serving": {"formats": ["onnx"]}, "ingest_cache": "gs://b/verdicts"}))
    assert ours == {"export.formats": ["onnx"], "ingest.cache": "gs://b/verdicts"}
    assert validate(DATA, ours).steps["export"].formats == ["onnx"]
    assert validate(merge(DATA, {"export.formats": []}), ours).steps["export"].formats == []


def test_assignments_are_typed_as_yaml():
    assert parse_assignments(["epochs=3", "gate_conditions=[a >= 1]", "weights=none"]) == {
        "epochs": 3,
        "gate_conditions": ["a >= 1"],
        "weights": "none",
    }


@pytest.mark.parametrize("item", ["epochs", "=3", "epochs=[1"])
def test_an_assignment_without_sense_is_refused(item):
    with pytest.raises(ConfigError, match="--set"):
        parse_assignments([item])


def test_an_empty_optional_text_is_empty():
    assert validate(merge(DATA, parse_assignments(["champion="]))).values["champion"] == ""


def test_an_unknown_preset_lists_the_known():
    with pytest.raises(ConfigError, match=r"did you mean 'ham10000-.*one of ham10000-cpu, .*sample"):
        load_preset("ham1000")


def test_a_missing_table_is_found_before_the_run(tmp_path):
    (tmp_path / "images").mkdir()
    run = validate({"metadata": str(tmp_path / "no.csv"), "images": [str(tmp_path / "images")]})
    with pytest.raises(ConfigError, match=r"metadata: received .*no\.csv', which does not exist"):
        resolve_paths(run)


def test_two_tables_joined_by_a_comma_are_both_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("labels.csv", "facts.csv"):
        (tmp_path / name).touch()
    run = resolve_paths(validate({"metadata": "labels.csv, facts.csv", "images": [str(tmp_path)]}))
    assert run.values["metadata"] == f"{tmp_path / 'labels.csv'},{tmp_path / 'facts.csv'}"
    assert run.steps["ingest"].metadata == run.values["metadata"]


def test_remote_uris_are_left_alone():
    run = validate({"metadata": "gs://b/t.csv", "images": ["gs://b/i"]})
    assert resolve_paths(run) == run


def test_the_ways_out_of_an_infeasible_split_are_parameters_of_the_pipeline():
    run = validate({**DATA, "options": {"calibrate.abstain_alpha": 0.05, "train.folds": 8}, "gate_conditions": GATE})
    asked = Demands.of({name: value for name, value in demands(run).items() if name != "champion"})
    few = GroupCounts(30, 4, 26)
    named = {name for change in changes_that_work(SplitCounts(few, few, few), asked) for name in change}
    assert named == {
        "calibrate.folds",
        "calibrate.abstain_alpha",
        "train.folds",
        "operating_point",
        "gate_conditions",
    }
    assert {*named, "target_sensitivity", "split.val_share", "split.test_share"} <= {*FLAT, *option_names()}
