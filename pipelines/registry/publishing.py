"""The body of the pipeline's last task: stage, register, and write the card with the test metrics."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, replace
from pathlib import Path

from components.common.artifacts.json_file import write_atomic
from components.common.bundle.card import bundle_card
from components.common.bundle.stage import Keys, stage_bundle
from components.common.runtime.errors import ConfigError
from components.common.storage import store
from pipelines.registry.client import register, server_at
from pipelines.registry.registration import registration_of

SIGNING_VARIABLE = "LESIONFLOW_SIGNING"  # folder of the secret's entries, where the cluster file names one
log = logging.getLogger("lesionflow")
_ONLY = 1  # every registered version has a folder of its own, so the number a model server wants is always this


@dataclass(frozen=True)
class Given:
    """A file or folder here, and where it is for others."""

    path: Path
    uri: str


def publish(server: str, name: str, models: str, bundle: Given, evaluation: Given, card: Given) -> str:
    """Registers an evaluated bundle; repeated after a failure it goes on where it was.

    Where the cluster file names a secret with a key, what is staged is signed with it.

    Args:
        server: address of the registry.
        name: the registered model.
        models: folder or URI under which the version is staged for model servers; empty: nowhere, and the
            bundle's own URI is registered.
        bundle: the bundle.
        evaluation: its evaluation.
        card: file for the card with the test metrics.

    Returns:
        The line that was logged.
    """
    where = server_at(server)
    what = registration_of(
        bundle.path,
        evaluation.path,
        uri=bundle.uri,
        name=name,
        card_uri=card.uri,
        bundle_uri=bundle.uri,
        evaluation_uri=evaluation.uri,
    )
    if models:
        served = store.join(models, what.version)
        what = replace(what, uri=served)
        stage_bundle(bundle.path, served, _ONLY, evaluation=evaluation.path, keys=_keys())
    card.path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(card.path, bundle_card(bundle.path, evaluation.path))
    outcome = register(where, what)
    line = f"{what.name} {what.version}: {outcome.state} at {where.url}, files at {what.uri}"
    log.info(line)
    return line


def _keys() -> Keys:
    """The key of the mounted secret.

    Raises:
        ConfigError: the secret has no entry `key`.
    """
    folder = os.environ.get(SIGNING_VARIABLE)
    if not folder:
        return Keys()
    key, certificate = Path(folder) / "key", Path(folder) / "certificate"
    if not key.is_file():
        raise ConfigError("registry.signing_secret: the secret has no entry `key`; expected a private key as PEM there")
    return Keys(sign=key, certificate=certificate if certificate.is_file() else None)
