"""Errors about parameters fit on a line and say name, received value and what is allowed."""

from typing import Literal

import pytest
from pydantic import Field, model_validator

from components.common.runtime.config import StepConfig
from components.common.runtime.errors import ConfigError


class Inner(StepConfig):
    count: int = Field(1, ge=0, le=4)


class Example(StepConfig):
    epochs: int = Field(3, ge=1)
    schedule: Literal["cosine", "plateau"] = "cosine"
    dropout: float | None = Field(None, gt=0, lt=1)
    fast: bool = False
    inner: Inner = Inner()
    patience: int = 0

    @model_validator(mode="after")
    def _no_patience_with_cosine(self) -> "Example":
        if self.schedule == "cosine" and self.patience:
            raise ValueError(f"patience: received {self.patience} with schedule cosine; allowed: plateau only")
        return self


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"epochs": "3.5"}, "epochs: received '3.5'; allowed: a whole number >= 1"),
        ({"epochs": 0}, "epochs: received 0; allowed: a whole number >= 1"),
        ({"epochs": [1]}, "epochs: received [1]; allowed: a whole number >= 1"),
        ({"schedule": "step"}, "schedule: received 'step'; allowed: one of cosine, plateau"),
        ({"dropout": 1.5}, "dropout: received 1.5; allowed: a number > 0 and < 1 or empty"),
        ({"dropout": float("nan")}, "dropout: received nan; allowed: a number > 0 and < 1 or empty"),
        ({"fast": "perhaps"}, "fast: received 'perhaps'; allowed: true or false"),
        ({"inner": {"count": 9}}, "inner.count: received 9; allowed: a whole number >= 0 and <= 4"),
        ({"inner": {"cuont": 1}}, "unknown parameter 'inner.cuont': did you mean 'count'? known are count"),
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


def test_every_bad_value_gets_its_line():
    with pytest.raises(ConfigError) as caught:
        Example.parse({"epochs": 0, "fast": 7})
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize("value", ["3", 3.0, 3])
def test_command_line_text_and_kfp_floats_become_whole_numbers(value):
    assert Example.parse({"epochs": value}).epochs == 3


def test_a_parsed_config_does_not_change():
    with pytest.raises(ValueError, match="frozen"):
        Example.parse({}).epochs = 4
