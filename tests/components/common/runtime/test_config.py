"""Errors about parameters fit on a line and say name, received value and what is allowed."""

from typing import Literal

import pytest
from pydantic import Field, ValidationError, model_validator

from components.common.runtime.config import StepConfig, nearest
from components.common.runtime.errors import ConfigError
from components.validate.config import ValidateConfig


class Inner(StepConfig):
    count: int = Field(1, ge=0, le=4)


class Example(StepConfig):
    epochs: int = Field(3, ge=1)
    schedule: Literal["cosine", "plateau"] = "cosine"
    dropout: float | None = Field(None, gt=0, lt=1)
    fast: bool = False
    inner: Inner = Inner()
    patience: int = 0
    names: list[str] = Field(default=["a"], min_length=1)
    sizes: dict[str, float] = Field(default_factory=dict)
    folder: str = ""
    levels: tuple[int, ...] = Field((1,), min_length=1)

    @model_validator(mode="after")
    def _no_patience_with_cosine(self) -> "Example":
        if self.schedule == "cosine" and self.patience:
            raise ValueError(f"{{patience}}: received {self.patience} with {{schedule}} cosine; allowed: plateau only")
        return self


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"epochs": "3.5"}, "epochs: received '3.5'; allowed: an integer >= 1"),
        ({"epochs": 0}, "epochs: received 0; allowed: an integer >= 1"),
        ({"epochs": [1]}, "epochs: received [1]; allowed: an integer >= 1"),
        ({"schedule": "step"}, "schedule: received 'step'; allowed: one of cosine, plateau"),
        ({"dropout": 1.5}, "dropout: received 1.5; allowed: a number > 0 and < 1 or empty"),
        ({"dropout": float("nan")}, "dropout: received nan; allowed: a number > 0 and < 1 or empty"),
        ({"fast": "perhaps"}, "fast: received 'perhaps'; allowed: true or false"),
        ({"inner": {"count": 9}}, "inner.count: received 9; allowed: an integer >= 0 and <= 4"),
        ({"inner": {"cuont": 1}}, "unknown parameter 'inner.cuont': did you mean 'count'? known are count"),
        ({"schedule": "Cosine"}, "schedule: received 'Cosine'; did you mean 'cosine'? allowed: one of cosine, plateau"),
        (
            {"names": "a, b"},
            "names: received 'a, b', which is one text; allowed: a list of text, written as [first, second]",
        ),
        ({"names": [1]}, "names.0: received 1, which is not text; write it in quotes: '1'"),
        ({"levels": ["a"]}, "levels.0: received 'a'; allowed: a list of integers"),
        ({"levels": []}, "levels: received [], which is empty; allowed: a list of integers, at least one"),
        ({"names": None}, "names: received nothing; allowed: a list of text"),
        ({"names": []}, "names: received [], which is empty; allowed: a list of text, at least one"),
        (
            {"sizes": "a"},
            "sizes: received 'a', which is one text; allowed: a mapping of names to values, written as {name: value}",
        ),
        ({"patience": 2}, "patience: received 2 with schedule cosine; allowed: plateau only"),
    ],
)
def test_a_bad_value_is_one_line(values, line):
    with pytest.raises(ConfigError) as caught:
        Example.parse(values)
    assert str(caught.value) == line


def test_an_unknown_name_shows_the_nearest_and_all_known():
    with pytest.raises(ConfigError, match=r"unknown parameter 'epoch': did you mean 'epochs'\? known are dropout, "):
        Example.parse({"epoch": 3})


def test_a_field_is_called_what_its_user_calls_it():
    names = {"epochs": "train.epochs", "patience": "train.patience", "schedule": "train.schedule"}
    with pytest.raises(ConfigError, match=r"^train\.epochs: received 0; "):
        Example.parse({"epochs": 0}, names)
    with pytest.raises(ConfigError, match=r"^train\.patience: received 2 with train\.schedule cosine; "):
        Example.parse({"patience": 2}, names)


def test_no_value_of_a_text_is_the_empty_text():
    assert Example.parse({"folder": None}).folder == ""


def test_an_error_keeps_its_cause():
    with pytest.raises(ConfigError) as caught:
        Example.parse({"epochs": 0})
    assert isinstance(caught.value.__cause__, ValidationError)


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("lr", "train.learning_rate"),
        ("ResNet-50", "resnet50"),
        ("lower-bound", "lower_bound"),
        ("smaple", "sample"),
        ("calibrate.dleta", "calibrate.delta"),
        ("banana", ""),
        ("", ""),
    ],
)
def test_the_word_that_was_probably_meant_is_found(word, meant):
    known = ["train.learning_rate", "resnet50", "lower_bound", "sample", "calibrate.delta", "epochs"]
    assert nearest(word, known) == meant


def test_every_bad_value_gets_its_line():
    with pytest.raises(ConfigError) as caught:
        Example.parse({"epochs": 0, "fast": 7})
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize("value", ["3", 3.0, 3])
def test_command_line_text_and_kfp_floats_become_whole_numbers(value):
    assert Example.parse({"epochs": value}).epochs == 3


@pytest.mark.parametrize("given", [{"epochs": True}, {"dropout": False}])
def test_a_truth_value_is_not_a_number(given):
    with pytest.raises(ConfigError, match=r": received (True|False); allowed: a"):
        Example.parse(given)
    assert Example.parse({"fast": True}).fast is True


def test_a_parsed_config_does_not_change():
    with pytest.raises(ValueError, match="frozen"):
        Example.parse({}).epochs = 4


@pytest.mark.parametrize("given", ["x", "a" * 63, "g" * 64, "a" * 64 + "\n"])
def test_a_digest_that_is_none_is_told_what_a_digest_is(given):
    with pytest.raises(
        ConfigError, match=r"bundle_digest: received .*; allowed: 64 hexadecimal digits, as .*, or empty"
    ):
        ValidateConfig.parse({"bundle_digest": given})
    assert ValidateConfig.parse({"bundle_digest": "aB" * 32}).bundle_digest == "aB" * 32
    assert ValidateConfig.parse({"bundle_digest": ""}).bundle_digest == ""


def test_a_text_that_is_too_long_is_told_how_long_it_may_be():
    with pytest.raises(
        ConfigError, match=r"site: received .*, which has 90 characters; allowed: text, at most 80 characters"
    ):
        ValidateConfig.parse({"site": "a" * 90})
