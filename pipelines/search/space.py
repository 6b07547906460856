"""What a search may choose from: ranges and lists of training parameters, each checked before the first trial."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import Field, field_validator, model_validator

from components.common.runtime.config import StepConfig
from components.common.runtime.errors import ConfigError
from components.train.config import TrainConfig
from pipelines.parameter_texts import plain_type
from pipelines.parameters import OPTIONS, RunParameters, load_preset, merge, training_field, training_with, validate

SEARCH = "search"
_DATA = {"metadata": "gs://bucket/table.csv", "images": ["gs://bucket/images"]}  # of no meaning to a training


class Range(StepConfig):
    """Numbers between two ends, both included."""

    low: float = Field(description="smallest value")
    high: float = Field(description="largest value")
    log: bool = Field(False, description="tried evenly on a logarithmic scale")

    @model_validator(mode="after")
    def _in_order(self) -> Range:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError(
                f"received low {self.low:g}, high {self.high:g}; allowed: low below high, above 0 where log is true"
            )
        return self


class SearchConfig(StepConfig):
    """The entry `search` of a preset."""

    space: dict[str, Range | list[Any]] = Field(
        description="training parameters: {low, high, log} for numbers, or a list of values"
    )
    trials: int = Field(20, ge=2, le=1000, description="trainings that are tried")
    seed: int = Field(0, ge=0, description="seed of the choices")

    @field_validator("space", mode="before")
    @classmethod
    def _each_is_a_range_or_a_list(cls, value: Any) -> Any:
        if not isinstance(value, dict) or not value:
            raise ValueError("allowed: a mapping of training parameters to {low, high} or to lists of values")
        for name, one in value.items():
            if isinstance(one, dict):
                Range.parse(one, {field: f"{name}.{field}" for field in Range.model_fields})
            elif not isinstance(one, list) or len(one) < 2:
                raise ValueError(f"{name}: allowed: {{low, high}}, or a list of two values or more")
        return value


@dataclass(frozen=True)
class Choice:
    """One parameter of the search.

    Attributes:
        field: the field of training.
        whole: integers only.
        values: the values to choose from; empty for a range.
        span: the range; None for a list.
    """

    field: str
    whole: bool
    values: tuple[Any, ...] = ()
    span: Range | None = None

    def ends(self) -> list[Any]:
        """Values that training must accept for all others to be accepted."""
        if self.span is None:
            return list(self.values)
        return [int(end) if self.whole else end for end in (self.span.low, self.span.high)]


@dataclass(frozen=True)
class Search:
    """A search, validated."""

    config: SearchConfig
    choices: tuple[Choice, ...]
    base: RunParameters
    given: dict[str, Any]

    def training(self, chosen: Mapping[str, Any]) -> TrainConfig:
        """The configuration of a trial."""
        values = self.base.values
        return training_with(chosen, values, values[OPTIONS])[0]

    def best_preset(self, chosen: Mapping[str, Any], tried: int) -> dict[str, Any]:
        """The preset with the chosen parameters in it, and how many trials they were chosen from."""
        own = {f"train.{name}": value for name, value in chosen.items()}
        return merge(self.given, own, {"train.search_trials": tried})


def load_search(name_or_path: str, assignments: Mapping[str, Any]) -> Search:
    """Reads a preset with an entry `search`.

    Args:
        name_or_path: the preset.
        assignments: parameters that replace the preset's; `search.trials` and `search.seed` too.

    Raises:
        ConfigError: no such entry, a parameter that a search cannot choose, or a value that training would refuse.
    """
    preset = load_preset(name_or_path)
    asked = preset.pop(SEARCH, None)
    if not isinstance(asked, dict):
        raise ConfigError(
            f"--preset: {name_or_path} has no entry {SEARCH}; allowed: a preset with search: {{space: {{learning_rate: "
            "{low: 0.0001, high: 0.01, log: true}}, trials: 20}"
        )
    own = {name.removeprefix(f"{SEARCH}."): value for name, value in assignments.items() if name.startswith("search.")}
    config = SearchConfig.parse({**asked, **own}, {name: f"{SEARCH}.{name}" for name in SearchConfig.model_fields})
    given = merge(preset, {name: value for name, value in assignments.items() if not name.startswith("search.")})
    base = validate({**_DATA, **given})
    if base.members:
        raise ConfigError(
            "ensemble.members: received with search; allowed: a search of single models, members after it"
        )
    search = Search(config, tuple(_choice(name, one) for name, one in config.space.items()), base, given)
    _check_ends(search)
    return search


def _choice(name: str, one: Range | list[Any]) -> Choice:
    field = training_field(name)
    kind = plain_type(TrainConfig.model_fields[field])
    if isinstance(one, list):
        return Choice(field, kind is int, values=tuple(one))
    if kind not in (int, float):
        raise ConfigError(f"{SEARCH}.space.{name}: received a range for {kind.__name__}; allowed: a list of values")
    return Choice(field, kind is int, span=one)


def _check_ends(search: Search) -> None:
    """Every end of every range and every listed value, alone, is one that training takes."""
    faults = []
    for choice in search.choices:
        for value in choice.ends():
            try:
                search.training({choice.field: value})
            except ConfigError as error:
                faults += [f"{SEARCH}.space.{choice.field}: {line}" for line in str(error).splitlines()]
    if faults:
        raise ConfigError("\n".join(dict.fromkeys(faults)))
