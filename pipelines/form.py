"""The form of a pipeline with few parameters: those of its steps under one flat set of names."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic.fields import FieldInfo

from components.common.runtime.cli import default_text, described
from components.common.runtime.config import StepConfig, allowed, unknown_name
from components.common.runtime.errors import ConfigError
from pipelines.parameter_texts import ParameterText, plain_type, signature_default, with_defaults


@dataclass(frozen=True)
class Form:
    """What a person fills in for a run, made from the configurations of the steps.

    Attributes:
        steps: configuration by step; no two know the same name.
        groups: by step the first word of a text in the form.
        first: parameters that need thought, which come first.
        examples: a value for each parameter without a default, so that the others can be checked without it.
        fixed: values that make a step one of this pipeline; they are not parameters.
    """

    steps: Mapping[str, type[StepConfig]]
    groups: Mapping[str, str]
    first: tuple[str, ...]
    examples: Mapping[str, Any]
    fixed: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def fields(self) -> dict[str, tuple[str, FieldInfo]]:
        """Every parameter with its step and field, in the order of the form."""
        known = {
            name: (step, one)
            for step, config in self.steps.items()
            for name, one in config.model_fields.items()
            if name not in self.fixed.get(step, {})
        }
        return {name: known[name] for name in (*self.first, *known)}

    def parse(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The configuration of each step, validated.

        Raises:
            ConfigError: a line for each parameter that is unknown, missing or not allowed.
        """
        names = self.fields()
        faults = [unknown_name(name, names) for name in values if name not in names]
        made: dict[str, Any] = {}
        for step, config in self.steps.items():
            own = {name: value for name, value in values.items() if name in names and names[name][0] == step}
            try:
                made[step] = config.parse(own | dict(self.fixed.get(step, {})))
            except ConfigError as error:
                faults.append(str(error))
        if faults:
            raise ConfigError("\n".join(faults))
        return made

    def values_of(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The values to send to the pipeline: only those given, typed; what is required and absent is checked there.

        Raises:
            ConfigError: a line for each that is unknown or not allowed.
        """
        names, made = self.fields(), self.parse({**self.examples, **given})
        return {name: made[names[name][0]].model_dump(mode="json")[name] for name in given}

    def signature(self) -> inspect.Signature:
        """The pipeline's signature as kfp reads it."""
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        made = [
            inspect.Parameter(name, kind, annotation=plain_type(one), default=signature_default(one))
            for name, (_, one) in self.fields().items()
        ]
        return inspect.Signature(made)

    def docstring(self, about: str, defaults: Mapping[str, Any] | None = None) -> str:
        """A docstring in Google's style that describes every parameter, for the UI.

        Args:
            about: what the pipeline is for.
            defaults: values that stand in the form instead of the fields' own defaults.
        """
        texts = [
            ParameterText(
                name,
                self.groups[step],
                described(one),
                allowed(one),
                "required" if one.is_required() else default_text(one),
            )
            for name, (step, one) in self.fields().items()
        ]
        lines = [f"    {text.name}: {text.line}" for text in with_defaults(texts, defaults or {})]
        return "\n".join([about, "", "Args:", *lines, ""])
