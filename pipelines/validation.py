"""The parameters of a validation: those of ingest and validate under one flat set of names."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from components.common.artifacts.folder import listed_artifact
from components.common.runtime.cli import default_text, described
from components.common.runtime.config import StepConfig, allowed, unknown_name
from components.common.runtime.errors import ConfigError
from components.ingest.config import IngestSources
from components.ingest.sources import root_problem
from components.validate.config import ValidateSources
from pipelines.parameter_texts import ParameterText, plain_type, signature_default, with_defaults
from pipelines.registry.client import Server
from pipelines.registry.lookup import registered, source_of

STEPS: dict[str, type[StepConfig]] = {"ingest": IngestSources, "validate": ValidateSources}
_FIRST = ("bundle", "metadata", "images", "site", "internal", "label_policy", "max_overlap_pct", "max_lost_pct")
_GROUPS = {"ingest": "Data", "validate": "Validation"}  # the first word of a text in the form
_FIXED = {"unlabelled": "keep"}  # what makes an ingest one for validation


@dataclass(frozen=True)
class ValidationParameters:
    """The configurations of both steps, validated."""

    ingest: IngestSources
    validate: ValidateSources


def fields() -> dict[str, tuple[str, FieldInfo]]:
    """Every parameter with its step and field; those that need thought come first."""
    known = {name: (step, field) for step, config in STEPS.items() for name, field in config.model_fields.items()}
    return {name: known[name] for name in (*_FIRST, *known) if name not in _FIXED}


def parse(values: Mapping[str, Any]) -> ValidationParameters:
    """Validates parameters by the configurations of both steps.

    Raises:
        ConfigError: a line for each that is unknown, missing or not allowed.
    """
    names = fields()
    faults = [unknown_name(name, names) for name in values if name not in names]
    made: dict[str, Any] = {}
    for step, config in STEPS.items():
        own = {name: value for name, value in values.items() if name in names and names[name][0] == step}
        try:
            made[step] = config.parse(own | (_FIXED if step == "ingest" else {}))
        except ConfigError as error:
            faults.append(str(error))
    if faults:
        raise ConfigError("\n".join(faults))
    return ValidationParameters(made["ingest"], made["validate"])


def values_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """The values to send to the pipeline: only those given, typed; what is required and absent is checked there.

    Raises:
        ConfigError: a line for each that is unknown or not allowed.
    """
    absent = {"bundle": "gs://bucket/bundle", "metadata": "gs://bucket/table.csv", "images": ["gs://bucket/images"]}
    asked = parse({**absent, **given})
    both = {**asked.ingest.model_dump(mode="json"), **asked.validate.model_dump(mode="json")}
    return {name: both[name] for name in given}


def signature() -> inspect.Signature:
    """The pipeline's signature as kfp reads it."""
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    made = [
        inspect.Parameter(name, kind, annotation=plain_type(field), default=signature_default(field))
        for name, (_, field) in fields().items()
    ]
    return inspect.Signature(made)


def docstring(about: str, defaults: Mapping[str, Any] | None = None) -> str:
    """A docstring in Google's style that describes every parameter, for the UI.

    Args:
        about: what the pipeline is for.
        defaults: values that stand in the form instead of the fields' own defaults.
    """
    texts = [
        ParameterText(
            name,
            _GROUPS[step],
            described(field),
            allowed(field),
            "required" if field.is_required() else default_text(field),
        )
        for name, (step, field) in fields().items()
    ]
    lines = [f"    {text.name}: {text.line}" for text in with_defaults(texts, defaults or {})]
    return "\n".join([about, "", "Args:", *lines, ""])


def located(asked: ValidationParameters, server: Server | None = None) -> ValidationParameters:
    """The same with place, digest and evaluation of a bundle that is given as a registered version.

    Raises:
        ConfigError: not the name of a version, no registry is known, or another digest was asked for.
        RegistryError: the registry cannot be reached, or knows no such version.
    """
    given = asked.validate
    if not registered(given.bundle):
        return asked
    found = source_of(given.bundle, server)
    if given.bundle_digest and found.digest and given.bundle_digest.lower() != found.digest:
        raise ConfigError(
            f"bundle_digest: received {given.bundle_digest[:12]}, and {given.bundle} is registered with "
            f"{found.digest[:12]}; allowed: the version that has it, or no bundle_digest"
        )
    changed = {
        "bundle": found.uri,
        "bundle_digest": found.digest or given.bundle_digest,
        "internal": given.internal or found.evaluation,
    }
    return ValidationParameters(asked.ingest, given.model_copy(update=changed))


def check_local(parameters: ValidationParameters) -> None:
    """Refuses local folders that are not there or hold another artifact, before any image is read.

    Raises:
        ConfigError: a line for each that is not there.
        ArtifactError: it is not a bundle, or not an evaluation.
    """
    faults = []
    for root in parameters.ingest.images:
        if "://" not in root and not Path(root).expanduser().is_dir():
            faults.append(f"images: received {root!r}, which {root_problem(root, exists=Path(root).exists())}")
    kinds = {"bundle": "bundle", "internal": "evaluation"}
    local = {name: given for name in kinds if (given := getattr(parameters.validate, name)) and "://" not in given}
    absent = [name for name, given in local.items() if not Path(given).expanduser().is_dir()]
    faults += [f"{name}: received {local[name]!r}, no such folder" for name in absent]
    if faults:
        raise ConfigError("\n".join(faults))
    for name, given in local.items():
        listed_artifact(Path(given).expanduser(), kinds[name])
