"""The parameters of a run of the monitor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.monitor.config import MonitorSources
from pipelines.form import Form
from pipelines.registry.lookup import source_of

FORM = Form(
    steps={"monitor": MonitorSources},
    groups={"monitor": "Monitor"},
    first=("bundle", "predictions", "labels", "reference"),
    examples={"bundle": "gs://bucket/bundle", "predictions": ["gs://bucket/logs"]},
)


def parse(values: Mapping[str, Any]) -> MonitorSources:
    """Validates parameters; a bundle that is given as a registered version becomes its place and digest.

    Raises:
        ConfigError: a line for each that is unknown, missing or not allowed; or no such version.
        RegistryError: the registry cannot be reached, or knows no such version.
    """
    asked: MonitorSources = FORM.parse(values)["monitor"]
    found = source_of(asked.bundle, digest=asked.bundle_digest)
    return asked.model_copy(update={"bundle": found.uri, "bundle_digest": found.digest})
