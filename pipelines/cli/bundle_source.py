"""BUNDLE on a command line: a folder, a gs:// or s3:// URI, or a registered version."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from components.common.runtime.cli import CommandParser

if TYPE_CHECKING:
    from pipelines.registry.client import Server

BUNDLE = "folder, gs:// or s3:// URI of the bundle, or a registered version: model-registry://NAME/VERSION"


def add_bundle(command: CommandParser) -> None:
    """Adds BUNDLE and the flags by which a registry is found."""
    command.add_argument("bundle", metavar="BUNDLE", help=BUNDLE)
    add_server(command, required=False)


def add_server(command: CommandParser, *, required: bool) -> None:
    """Adds the flags by which a registry is found."""
    default = "" if required else "; default: LESIONFLOW_REGISTRY"
    command.add_argument(
        "--server", required=required, metavar="URL", help=f"the model registry: http(s)://host:port{default}"
    )
    command.add_argument(
        "--token-file", type=Path, metavar="FILE", help="its bearer token; default: KFP's own, or none"
    )
    command.add_argument("--ca", type=Path, metavar="FILE", help="certificate authorities to trust; default: system")


def server_of(arguments: argparse.Namespace) -> Server | None:
    """The registry of the flags; None without them.

    Raises:
        ConfigError: not an http(s) address, or a file that cannot be read.
    """
    from pipelines.registry.client import server_at

    return server_at(arguments.server, arguments.token_file, arguments.ca) if arguments.server else None


@contextmanager
def local_bundle(arguments: argparse.Namespace) -> Iterator[Path]:
    """BUNDLE as a folder on this machine, for as long as the context lasts.

    Raises:
        ArtifactError: there is no bundle, or its digest is not the registered one.
        ConfigError: not the name of a version, or no registry is known.
        RegistryError: the registry cannot be reached, or knows no such version.
        StorageError: storage refused or kept failing.
    """
    from components.common.artifacts.remote import local_artifact, refuse_other
    from pipelines.registry.lookup import source_of

    found = source_of(arguments.bundle, server_of(arguments))
    with TemporaryDirectory() as scratch:
        folder = local_artifact(found.uri, "bundle", Path(scratch) / "bundle")
        refuse_other(folder, "bundle", found.digest)
        yield folder
