"""What a person reads about parameters comes from the fields, and is not stale."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from components.common.runtime.errors import ConfigError
from pipelines.parameter_texts import described_parameters, docstring, flat_texts, option_texts, signature
from pipelines.parameters import FLAT, OPTIONS, STEP_CONFIGS, field_of, merge, validate

ROOT = Path(__file__).resolve().parents[2]
DATA = {"metadata": "table.csv", "images": ["images"]}


def test_the_signature_has_plain_types_and_the_fields_defaults_required_ones_first():
    made = signature().parameters
    assert list(made) == [*FLAT, OPTIONS]
    assert {one.annotation for one in made.values()} <= {str, int, float, bool, list, dict}
    required = [one.default is inspect.Parameter.empty for one in made.values()]
    assert required == sorted(required, reverse=True)
    assert made["epochs"].default == field_of("train.epochs").default


def test_texts_start_with_their_group_and_mark_what_is_required():
    lines = {text.name: text.line for text in flat_texts()}
    assert lines["metadata"].startswith("Data, required: ")
    assert lines["epochs"] == (
        "Training: maximum number of epochs; early stopping may end training earlier "
        "(an integer >= 1 and <= 1000; default 20)"
    )
    groups = [line.split(":")[0].split(",")[0] for line in lines.values()]
    assert list(dict.fromkeys(groups)) == ["Data", "Training", "Decision", "Gate", "Cluster"]


def test_no_text_shows_a_types_own_name():
    for text in [*flat_texts(), *option_texts()]:
        for word in ("typing", "Literal", "<class", "NoneType", "dict[", "list[", "None"):
            assert word not in text.line, text


@pytest.mark.parametrize(
    ("target", "example"),
    [
        (f"{step}.{name}", example)
        for step, config in STEP_CONFIGS.items()
        for name, field in config.model_fields.items()
        for example in field.examples or ()
    ],
)
def test_every_example_value_is_accepted(target, example):
    validate(merge(DATA, {target: example}))


def test_the_example_of_the_options_is_accepted():
    assert '{"calibrate.delta": 0.1, "train.dropout": 0.3}' in docstring("")
    validate({**DATA, OPTIONS: {"calibrate.delta": 0.1, "train.dropout": 0.3}})


def test_one_parameter_one_step_or_all_are_described():
    assert described_parameters("calibrate.delta").startswith("calibrate.delta\n")
    assert "calibrate.folds\n" in described_parameters("calibrate")
    assert "target_sensitivity\n" in described_parameters("calibrate")
    assert "train.dropout" not in described_parameters("calibrate")
    assert "gpu_tolerations\n" in described_parameters(None)
    with pytest.raises(ConfigError, match=r"did you mean 'calibrate\.delta'"):
        described_parameters("calibrate.dleta")


@pytest.mark.parametrize("page", ["parameters", "commands"])
def test_the_reference_pages_are_not_stale(page):
    done = subprocess.run([sys.executable, f"docs/write_{page}.py", "--check"], cwd=ROOT, check=False)
    assert done.returncode == 0
