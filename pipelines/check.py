"""What can be known in the first minute of a run: every parameter, and whether what it will read is there."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from components.common.artifacts.scores import load_scores
from components.common.runtime.errors import ConfigError, LesionflowError
from components.common.runtime.session import step_session
from components.common.storage import store
from components.ingest.labels import AUTO, load_label_policy
from components.ingest.sources import root_problem
from pipelines.parameters import RunParameters, validate

log = logging.getLogger(__name__)


def check_run(values: Mapping[str, Any], cluster_options: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    """Checks a run before its first step starts.

    Args:
        values: the pipeline's parameters.
        cluster_options: options that the cluster file sets.

    Returns:
        The configuration of each step as JSON has it, in the order of `STEP_CONFIGS`.

    Raises:
        ConfigError: a line for each bad parameter, or for each thing that cannot be read.
    """
    with step_session("check"):
        run = validate(values, cluster_options)
        check_inputs(run)
        return tuple(run.step_values().values())


def check_inputs(run: RunParameters) -> None:
    """Asks whether table, image folders, label policy, weights and champion can be read.

    Raises:
        ConfigError: a line for each that cannot.
    """
    faults = [str(fault) for ask in _questions(run.values) if (fault := _fault_of(ask)) is not None]
    if faults:
        raise ConfigError("\n".join(faults))
    log.info("parameters are valid; table, image folders and label policy can be read")


def _questions(values: Mapping[str, Any]) -> Iterator[Callable[[], object]]:
    table = values["metadata"]
    for uri in [table] if store.exists(table) else table.split(","):
        yield partial(_there, "metadata", uri.strip())
    yield lambda: _listed(values["images"])
    if values["label_policy"] != AUTO:
        yield lambda: load_label_policy(values["label_policy"])
    if values["weights"] not in ("none", "imagenet"):
        yield lambda: _there("weights", values["weights"])
    if values["champion"]:
        yield lambda: _readable_scores("champion", values["champion"])


def _fault_of(ask: Callable[[], object]) -> Exception | None:
    try:
        ask()
    except (LesionflowError, OSError) as error:
        return error
    return None


def _there(name: str, uri: str) -> None:
    if not store.exists(uri):
        raise ConfigError(f"{name}: received {uri!r}; there is no such file, or it may not be read from here")


def _listed(roots: list[str]) -> None:
    """Lists each folder up to its first image: that it may be listed is what counts, ingest lists them whole."""
    filled = False
    for root in roots:
        try:
            filled |= store.holds_image(root)
        except FileNotFoundError as error:
            raise ConfigError(f"images: {root} {root_problem(root, exists=False)}") from error
        except OSError as error:
            raise ConfigError(f"images: {error}; allowed: folders that exist and may be listed") from error
    if not filled:
        raise ConfigError(f"images: no image in {', '.join(roots)}; allowed: folders of .jpg or .png files")


def _readable_scores(name: str, uri: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        try:
            load_scores(store.fetch(uri, Path(scratch)))
        except FileNotFoundError as error:
            raise ConfigError(f"{name}: received {uri!r}; there is no such file") from error
