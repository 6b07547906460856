"""The parameters of a validation: those of ingest and validate under one flat set of names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.common.artifacts.folder import Kind, listed_artifact
from components.common.runtime.errors import ConfigError
from components.ingest.config import IngestSources
from components.ingest.sources import root_problem
from components.validate.config import ValidateSources
from pipelines.form import Form
from pipelines.registry.client import Server
from pipelines.registry.lookup import registered, source_of

FORM = Form(
    steps={"ingest": IngestSources, "validate": ValidateSources},
    groups={"ingest": "Data", "validate": "Validation"},
    first=("bundle", "metadata", "images", "site", "internal", "label_policy", "max_overlap_pct", "max_lost_pct"),
    examples={"bundle": "gs://bucket/bundle", "metadata": "gs://bucket/table.csv", "images": ["gs://bucket/images"]},
    fixed={"ingest": {"unlabelled": "keep"}},
)


@dataclass(frozen=True)
class ValidationParameters:
    """The configurations of both steps, validated."""

    ingest: IngestSources
    validate: ValidateSources


def parse(values: Mapping[str, Any]) -> ValidationParameters:
    """Validates parameters by the configurations of both steps.

    Raises:
        ConfigError: a line for each that is unknown, missing or not allowed.
    """
    return ValidationParameters(**FORM.parse(values))


def located(asked: ValidationParameters, server: Server | None = None) -> ValidationParameters:
    """The same with place, digest and evaluation of a bundle that is given as a registered version.

    Raises:
        ConfigError: not the name of a version, no registry is known, or another digest was asked for.
        RegistryError: the registry cannot be reached, or knows no such version.
    """
    given = asked.validate
    if not registered(given.bundle):
        return asked
    found = source_of(given.bundle, server, digest=given.bundle_digest)
    changed = {
        "bundle": found.uri,
        "bundle_digest": found.digest,
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
    kinds: dict[str, Kind] = {"bundle": "bundle", "internal": "evaluation"}
    local = {name: given for name in kinds if (given := getattr(parameters.validate, name)) and "://" not in given}
    absent = [name for name, given in local.items() if not Path(given).expanduser().is_dir()]
    faults += [f"{name}: received {local[name]!r}, no such folder" for name in absent]
    if faults:
        raise ConfigError("\n".join(faults))
    for name, given in local.items():
        listed_artifact(Path(given).expanduser(), kinds[name])
