"""What a search may choose, and what it refuses before the first trial."""

import pytest
import yaml

from components.common.runtime.errors import ConfigError
from pipelines.parameters import validate
from pipelines.search.space import load_search

PRESET = {
    "architecture": "small_cnn",
    "weights": "none",
    "image_size": "72x96",
    "search": {
        "space": {
            "learning_rate": {"low": 0.0001, "high": 0.01, "log": True},
            "train.dropout": {"low": 0.0, "high": 0.5},
            "batch_size": [16, 32],
            "epochs": {"low": 2, "high": 6},
        },
        "trials": 12,
    },
}


@pytest.fixture
def preset(tmp_path):
    def write(**search):
        path = tmp_path / "mine.yaml"
        path.write_text(yaml.safe_dump({**PRESET, "search": {**PRESET["search"], **search}}, sort_keys=False))
        return str(path)

    return write


def test_ranges_and_lists_of_training_parameters_under_any_of_their_names(preset):
    search = load_search(preset(), {"search.trials": 3, "train.label_smoothing": 0.1})
    assert [choice.field for choice in search.choices] == ["learning_rate", "dropout", "batch_size", "epochs"]
    assert search.config.trials == 3
    assert [choice.whole for choice in search.choices] == [False, False, True, True]
    trial = search.training({"dropout": 0.3, "epochs": 4})
    assert (trial.dropout, trial.epochs, trial.label_smoothing, trial.image_size) == (0.3, 4, 0.1, "72x96")


def test_the_best_is_a_preset_of_a_whole_run_that_says_how_many_were_tried(preset):
    best = load_search(preset(), {}).best_preset({"dropout": 0.25, "learning_rate": 0.002}, 12)
    run = validate({"metadata": "gs://b/t.csv", "images": ["gs://b/i"], **best})
    assert (run.training.dropout, run.training.learning_rate, run.training.search_trials) == (0.25, 0.002, 12)


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ({"space": {}}, r"search\.space: received \{\}; allowed: a mapping of training parameters"),
        ({"space": {"epochs": 3}}, r"epochs: allowed: \{low, high\}, or a list of two values or more"),
        ({"space": {"dropout": {"low": 0.5, "high": 0.1}}}, "received low 0.5, high 0.1; allowed: low below high"),
        ({"space": {"dropout": {"low": 0, "high": 0.5, "log": True}}}, "above 0 where log is true"),
        ({"space": {"dropout": {"low": 0.0, "hihg": 0.5}}}, "hihg"),
        ({"space": {"dropout": {"low": 0.0, "high": 1.5}}}, r"search\.space\.dropout: .*received 1\.5; allowed"),
        ({"space": {"architecture": ["small_cnn", "resnet5"]}}, "did you mean 'resnet50'"),
        ({"space": {"architecture": {"low": 1, "high": 2}}}, "received a range for str; allowed: a list of values"),
        ({"space": {"image_size": ["72x96", "96x128"]}}, "received image_size, which members share"),
        ({"space": {"calibrate.delta": {"low": 0.01, "high": 0.1}}}, "a parameter of calibrate, which runs once"),
        ({"trials": 1}, r"search\.trials: received 1; allowed: an integer >= 2"),
    ],
)
def test_what_cannot_be_searched_is_refused_with_the_reason(preset, search, message):
    with pytest.raises(ConfigError, match=message):
        load_search(preset(**search), {})


def test_a_preset_without_a_search_and_one_with_members_are_refused(tmp_path, preset):
    plain = tmp_path / "plain.yaml"
    plain.write_text("epochs: 3\n")
    with pytest.raises(ConfigError, match="has no entry search; allowed: a preset with search"):
        load_search(str(plain), {})
    with pytest.raises(ConfigError, match=r"ensemble\.members: received with search"):
        load_search(preset(), {"members": 3})
