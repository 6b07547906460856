"""A run is refused before anything is written, by one line that names the parameter."""

import inspect

import pytest

from components.common.runtime.errors import ConfigError
from pipelines.cluster_file import Cluster
from pipelines.dag import build_pipeline
from pipelines.parameters import (
    PRESETS,
    Parameters,
    load_preset,
    merge,
    parse_assignments,
    resolve_paths,
    validate,
)

DATA = {"metadata": "table.csv", "images": ["images"]}


def test_every_parameter_has_the_default_that_the_dag_has():
    signature = inspect.signature(build_pipeline(Cluster()).pipeline_func)
    assert list(signature.parameters) == list(Parameters.model_fields)
    for name, field in Parameters.model_fields.items():
        default = signature.parameters[name].default
        if default is not inspect.Parameter.empty:
            assert field.get_default(call_default_factory=True) == default, name


def test_the_ui_has_at_most_twenty_parameters():
    assert len(Parameters.model_fields) <= 20


@pytest.mark.parametrize("path", sorted(PRESETS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_preset_is_valid(path):
    validate(merge(DATA, {"weights": "weights.npz"}, load_preset(path.stem)))


@pytest.mark.parametrize("path", sorted(PRESETS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_preset_states_figure_time_hardware_and_command(path):
    head = [line for line in path.read_text().splitlines() if line.startswith("#")]
    for part in ("Expected figure: ", "Time: ", "Hardware", "Command: "):
        assert any(part in line for line in head), f"{path.name} does not state {part!r}"


def test_defaults_are_valid():
    parameters, configs = validate(DATA)
    assert configs.records.record_size == 224
    assert parameters.epochs == configs.train.epochs


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": "many"}, "epochs: received 'many'; allowed: a whole number"),
        ({"batch_size": 0}, "batch_size: received 0"),
        ({"recipe": "random"}, "recipe: received 'random'"),
        ({"architecture": "resnet51"}, "resnet50"),
        ({"image_size": "big"}, "image_size: received 'big'"),
        ({"target_sensitivity": 1.5}, "target_sensitivity: received 1.5"),
        ({"calibration": "magic"}, "calibration: received 'magic'"),
        ({"gate_conditions": ["auc >"]}, "gate"),
        ({"max_lost_pct": -1}, "max_lost_pct: received -1"),
        ({"train_options": {"schedul": "cosine"}}, "unknown parameter 'schedul': did you mean 'schedule'?"),
        ({"train_options": {"epochs": 3}}, "train_options.epochs: this is a pipeline parameter of its own"),
        ({"images": []}, "images: received []"),
    ],
)
def test_a_bad_value_names_the_parameter(values, message):
    with pytest.raises(ConfigError) as caught:
        validate({**DATA, **values})
    assert message in str(caught.value)


def test_without_data_the_run_is_refused():
    with pytest.raises(ConfigError, match="metadata: missing"):
        validate({"images": ["x"]})


def test_a_later_layer_wins_and_options_are_merged():
    merged = merge(
        {"epochs": 3, "train_options": {"schedule": "plateau"}}, {"epochs": 5, "train_options": {"flip": False}}
    )
    assert merged["epochs"] == 5
    assert merged["train_options"] == {"schedule": "plateau", "flip": False}


def test_a_training_option_needs_no_prefix():
    assert merge({"schedule": "cosine"})["train_options"] == {"schedule": "cosine"}
    assert merge({"train_options.schedule": "cosine"})["train_options"] == {"schedule": "cosine"}


def test_an_unknown_name_is_refused_with_the_nearest_known():
    with pytest.raises(ConfigError, match="unknown parameter 'epoch': did you mean 'epochs'"):
        merge({"epoch": 3})


def test_assignments_are_typed_as_yaml():
    assert parse_assignments(["epochs=3", "gate_conditions=[a >= 1]", "weights=none"]) == {
        "epochs": 3, "gate_conditions": ["a >= 1"], "weights": "none",
    }  # fmt: skip


@pytest.mark.parametrize("item", ["epochs", "=3", "epochs=[1"])
def test_an_assignment_without_sense_is_refused(item):
    with pytest.raises(ConfigError, match="--set"):
        parse_assignments([item])


def test_an_unknown_preset_lists_the_known():
    with pytest.raises(ConfigError, match=r"one of ham10000-cpu, .*sample"):
        load_preset("ham1000")


def test_a_missing_table_is_found_before_the_run(tmp_path):
    (tmp_path / "images").mkdir()
    parameters, _ = validate({"metadata": str(tmp_path / "no.csv"), "images": [str(tmp_path / "images")]})
    with pytest.raises(ConfigError, match=r"metadata: received .*no\.csv', no such file"):
        resolve_paths(parameters)


def test_remote_uris_are_left_alone():
    parameters, _ = validate({"metadata": "gs://b/t.csv", "images": ["gs://b/i"]})
    assert resolve_paths(parameters) == parameters
