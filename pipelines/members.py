"""Several trainings in one run: folds, seeds, architectures and options are one mechanism, a list of overrides.

Each member is the run's own training configuration with some entries replaced. What all members must share, because
one bundle comes out of them, cannot be replaced.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Literal

from pydantic import Field, field_validator

from components.common.runtime.config import READS, StepConfig
from components.common.runtime.errors import ConfigError
from components.train.config import TrainConfig

MOST = 50
MEMBER = "member"
_NAME_LENGTH = 40
_FORM = f"0, a number of folds from 2 to {MOST}, or a list of overrides such as [{{seed: 1}}, {{seed: 2}}]"
# fields of training that are one for all members, with the reason
SHARED = {
    "image_size": "one bundle prepares every image once, so all members see one size",
    "checkpoint_dir": "each member has a folder of its own below the run's checkpoint_dir",
}


class EnsembleConfig(StepConfig):
    """How many models a run trains, and what becomes of them."""

    members: int | list[dict[str, Any]] = Field(
        0,
        description="models that one run trains: a number K leaves one of K folds out in each, a list replaces "
        "training parameters in each; 0: a single model",
        examples=[3, [{"seed": 1}, {"seed": 2, "architecture": "small_cnn"}]],
    )
    combine: Literal["mean", "best"] = Field(
        "mean",
        description="what is shipped: mean, the ensemble of all members; best, the one with the highest validation AP",
    )

    @field_validator("members", mode="before")
    @classmethod
    def _number_or_list(cls, value: Any) -> Any:
        number = int(value) if isinstance(value, str) and value.isdecimal() else value
        if isinstance(number, float) and number.is_integer():
            number = int(number)
        if isinstance(number, int) and not isinstance(number, bool):
            if number == 0 or 2 <= number <= MOST:
                return number
        elif isinstance(value, list) and all(_is_overrides(one) for one in value) and 2 <= len(value) <= MOST:
            return value
        elif value in (None, []):
            return 0
        raise ValueError(f"allowed: {_FORM}")


@dataclass(frozen=True)
class Member:
    """One training of several.

    Attributes:
        name: what a person calls it: that in which it differs from the others, such as `fold 0 of 3`.
        config: its parameters, all of them.
    """

    name: str
    config: TrainConfig

    def text(self, reads: Mapping[str, str]) -> str:
        """Name and parameters as JSON text, which is all that a loop of Kubeflow Pipelines carries."""
        values = self.config.model_dump(mode="json", exclude_none=True)
        return json.dumps({MEMBER: self.name, **values, **({READS: dict(reads)} if reads else {})}, sort_keys=True)


def overrides_of(ensemble: EnsembleConfig, base: TrainConfig) -> list[dict[str, Any]]:
    """What each member replaces; folds get seeds of their own, counted up from the run's.

    Raises:
        ConfigError: a number of folds beside `train.folds`.
    """
    if isinstance(ensemble.members, list):
        return ensemble.members
    count = ensemble.members
    if count and base.folds:
        raise ConfigError(
            f"ensemble.members: received {count} with train.folds {base.folds}; allowed: one of the two, since a "
            "number of members cuts the training images into as many folds"
        )
    return [{"train.folds": count, "train.fold": k, "train.seed": base.seed + k} for k in range(count)]


def named(ensemble: EnsembleConfig, members: Sequence[tuple[TrainConfig, Sequence[str]]]) -> list[Member]:
    """The members with their names, which are the same wherever the parameters come from.

    Args:
        ensemble: what was asked for.
        members: the configuration of each and the fields that it replaces.
    """
    if isinstance(ensemble.members, int):
        return [Member(f"fold {config.fold} of {config.folds}", config) for config, _ in members]
    names: list[str] = []
    for config, fields in members:
        # sorted, and of the typed values: Kubeflow sorts the keys of an object and makes 1.0 of 1
        said = ", ".join(f"{field} {_word(getattr(config, field))}" for field in sorted(fields))
        name = " ".join((said or "as the run").split())[:_NAME_LENGTH]
        names.append(f"{name} ({len(names)})" if name in names else name)
    return [Member(name, config) for name, (config, _) in zip(names, members, strict=True)]


def refuse_equal(members: Sequence[Member]) -> None:
    """Refuses members with the same parameters, which would train one model twice.

    Raises:
        ConfigError: names them.
    """
    seen: dict[str, int] = {}
    for number, member in enumerate(members):
        key = member.config.model_dump_json()
        if key in seen:
            raise ConfigError(
                f"ensemble.members: {seen[key]} and {number} have the same parameters; allowed: members that differ, "
                "in seed for example"
            )
        seen[key] = number


def _is_overrides(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(name, str) for name in value)


def _word(value: Any) -> str:
    return PurePosixPath(value).name if isinstance(value, str) and "/" in value else str(value)
