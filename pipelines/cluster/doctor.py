"""`lesionflow doctor`: what would stop a run, each with a remedy, before one is started."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from rich.console import Console

from components.common.runtime.cli import add_command
from components.common.runtime.errors import ConfigError, LesionflowError
from components.common.runtime.secrets import without_secrets
from components.common.storage import store
from pipelines.cluster.check import Check, failed, ok
from pipelines.cluster.compiled import add_cluster_flags, read_cluster
from pipelines.cluster.connection import Connection, add_connection_flags
from pipelines.cluster.errors import ClusterError
from pipelines.cluster_file import Cluster

PROBE = ".lesionflow-doctor"
_SIGNS = {"ok": "[green]ok     [/]", "warning": "[yellow]warning[/]", "failed": "[red]failed [/]"}


def add_parser(commands: argparse._SubParsersAction[Any]) -> None:
    """Adds the command with its flags."""
    command = add_command(
        commands,
        "doctor",
        "check what would stop a run on the cluster, and say how to fix it",
        example="lesionflow doctor --cluster gke-t4 --image-refs out/images.yaml --bucket gs://bucket",
    )
    add_cluster_flags(command)
    command.add_argument(
        "--bucket", action="append", default=[], metavar="URI", help="gs:// or s3:// to read and write"
    )
    add_connection_flags(command)
    command.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> None:
    cluster = read_cluster(arguments, arguments.image_refs)
    for uri in arguments.bucket:
        if store.is_local(uri):
            raise ConfigError(
                f"--bucket: received {uri!r}; allowed: a gs:// or s3:// URI, which the pods can reach too"
            )
    uris = [*arguments.bucket, *([cluster.checkpoints.uri] if cluster.checkpoints.uri else [])]
    report(all_checks(Connection.of(arguments), cluster, uris), Console())


def all_checks(connection: Connection, cluster: Cluster, uris: Iterable[str]) -> Iterator[Check]:
    """Every check, in the order in which a run would meet them."""
    from pipelines.cluster.check_images import check_images
    from pipelines.cluster.check_namespace import check_objects, check_quota
    from pipelines.cluster.check_nodes import check_nodes
    from pipelines.cluster.check_servers import check_kfp, check_kubernetes

    yield from check_kfp(connection)
    reached = list(check_kubernetes(connection))
    yield from reached
    if all(check.state != "failed" for check in reached):
        yield from check_objects(connection, cluster)
        yield from check_quota(connection, cluster)
        yield from check_nodes(connection, cluster)
        yield from check_images(connection, cluster)
    for uri in uris:
        yield check_bucket(uri)


def check_bucket(uri: str) -> Check:
    """Writes and reads one small object of a fixed name below `uri`; it stays there, a few bytes."""
    what = f"bucket {uri}"
    target = f"{uri.rstrip('/')}/{PROBE}"
    try:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / PROBE
            file.write_text("lesionflow doctor\n", encoding="utf-8")
            store.upload(file, target)
        same = store.read_bytes(target) == b"lesionflow doctor\n"
    except LesionflowError as error:
        return failed(what, without_secrets(str(error)), "grant the signed-in account storage.objectUser on the bucket")
    if not same:
        return failed(what, "what was read back differs from what was written", "look at the bucket's versioning")
    return ok(what, "readable and writable from here; the pods use their own service account")


def report(checks: Iterable[Check], console: Console) -> None:
    """Prints each check as it is made.

    Raises:
        ClusterError: something failed.
    """
    bad = 0
    for check in checks:
        console.print(f"{_SIGNS[check.state]} ", end="")
        head, *more = check.found.splitlines()
        console.print(f"{check.what}: {head}", highlight=False, markup=False, soft_wrap=True)
        for line in [*more, *([f"-> {check.remedy}"] if check.remedy else [])]:
            console.print(f"          {line}", highlight=False, markup=False, soft_wrap=True)
        bad += check.state == "failed"
    if bad:
        raise ClusterError(f"{bad} thing{'s' if bad > 1 else ''} would stop a run; each has its remedy above")
    console.print("nothing found that would stop a run")
