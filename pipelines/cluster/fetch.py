"""`lesionflow fetch`: copies what the steps of a run made from the artifact store to this machine."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from components.common.artifacts.atomic import replacing
from components.common.artifacts.folder import MANIFEST, open_artifact
from components.common.runtime.cli import add_command
from components.common.runtime.errors import ConfigError
from components.common.runtime.secrets import without_secrets
from components.common.storage import store
from pipelines.cluster.connection import Connection, add_connection_flags
from pipelines.cluster.errors import ClusterError
from pipelines.cluster.fetch_cached import CachedSteps
from pipelines.cluster.runs import CACHED, find_run, steps_of
from pipelines.cluster_file import PIPELINE_OF, TASKS

DEFAULT_STEPS = ("export", "evaluate")
# Kubeflow keeps what a run makes in a folder named after the pipeline
PIPELINE_NAME = "lesionflow"
LAUNCHER_SETTINGS = "kfp-launcher"
# where Kubeflow's own object store, which comes with it, keeps artifacts unless it is told otherwise
DEFAULT_ROOT = "minio://mlpipeline/v2/artifacts"
_EXECUTION = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")


def add_parser(commands: argparse._SubParsersAction[Any]) -> None:
    """Adds the command with its flags."""
    command = add_command(
        commands,
        "fetch",
        "copy bundle and report of a run from the cluster's artifact store",
        example="lesionflow fetch RUN --out results\nlesionflow fetch RUN --step evaluate --out results",
    )
    command.add_argument("run_name", metavar="RUN", help="id or name of the run")
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for STEP/OUTPUT")
    command.add_argument(
        "--step",
        action="append",
        choices=TASKS,
        metavar="STEP",
        help=f"one of {', '.join(TASKS)}; may be repeated; default: {' and '.join(DEFAULT_STEPS)}, "
        f"of other pipelines {' or '.join(PIPELINE_OF)}",
    )
    command.add_argument("--pipeline-root", metavar="URI", help="where Kubeflow keeps artifacts; default: asked for")
    add_connection_flags(command)
    command.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> None:
    connection, root = Connection.of(arguments), arguments.pipeline_root
    for folder in fetch(connection, arguments.run_name, arguments.step or [], arguments.out, root):
        print(folder)


def fetch(
    connection: Connection, id_or_name: str, steps: Iterable[str], out: Path, root: str | None = None
) -> list[Path]:
    """Copies the outputs of steps; artifacts of ours are checked against their hashes.

    Args:
        connection: the cluster.
        id_or_name: the run.
        steps: their outputs are copied to `out/STEP`, which must not be there yet; none: bundle and report.
        out: where to.
        root: Kubeflow's pipeline root; None: the run's own, or the one the namespace is configured with.

    Returns:
        The folders that were made.

    Raises:
        ClusterError: no such run, a step that has made nothing in it, or a cached one whose maker is not found.
        ConfigError: a folder is there already, or the store cannot be reached this way.
        ArtifactError: what was copied does not fit its hashes.
    """
    run = find_run(connection, id_or_name)
    states = {step.name: step.state for step in steps_of(run)}
    own = [step for step in PIPELINE_OF if step in states]
    pipeline = PIPELINE_OF[own[0]] if own else PIPELINE_NAME
    runs = store.join(_reachable(root or _root_of(connection, run)), pipeline)
    cached = CachedSteps(connection, run, runs)
    made = []
    for step in dict.fromkeys(list(steps) or own or DEFAULT_STEPS):
        target = out / step
        if target.exists():
            raise ConfigError(f"--out: {target} already exists; allowed: another folder")
        base = store.join(runs, f"{run.run_id}/{step}")
        files = _files(base)
        if not files and states.get(step) == CACHED:
            maker = cached.made_by(step)
            sys.stderr.write(f"{step}: from the cache, made by run {maker}\n")
            files = _files(store.join(runs, f"{maker}/{step}"))
        if not files:
            raise ClusterError(_nothing(step, states.get(step, ""), base))
        with replacing(target) as scratch:
            for uri, name in files:
                file = scratch / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(store.read_bytes(uri))
            for manifest in _manifests(scratch):
                open_artifact(manifest.parent)
        made.append(target)
    return made


def _root_of(connection: Connection, run: Any) -> str:
    own = run.runtime_config.pipeline_root if run.runtime_config else None
    if own:
        return str(own)
    path = f"/api/v1/namespaces/{connection.namespace}/configmaps/{LAUNCHER_SETTINGS}"
    try:
        return str((connection.get_json(path).get("data") or {}).get("defaultPipelineRoot") or DEFAULT_ROOT)
    except ClusterError as error:
        if error.status not in (403, 404):
            raise
        return DEFAULT_ROOT


def _reachable(root: str) -> str:
    """The root as this machine reads it: Kubeflow's `minio://` is S3 on another server."""
    plain = root.partition("?")[0]  # Kubeflow takes settings of the store as a query
    bucket = plain.removeprefix("minio://")
    if bucket == plain:
        return plain
    if not os.environ.get("AWS_ENDPOINT_URL"):
        raise ConfigError(
            f"the artifacts are at {without_secrets(plain)}, the object store inside the cluster: forward its port "
            "(kubectl port-forward -n kubeflow svc/minio-service 9000), and set "
            "AWS_ENDPOINT_URL=http://localhost:9000, AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY (from the secret mlpipeline-minio-artifact)"
        )
    return f"s3://{bucket}"


def _files(base: str) -> list[tuple[str, PurePosixPath]]:
    """Every object below the step's prefix and its place below `out/STEP`: `OUTPUT/...`.

    Kubeflow puts a folder named by the execution between step and output; it is left out where there is one only.
    """
    prefix = str(store.local_path(base).absolute()) if store.is_local(base) else base
    try:
        listed = store.list_files(base)
    except FileNotFoundError:
        return []
    names = [one.uri.removeprefix(prefix).lstrip("/") for one in listed]
    executions = {first for name in names if _EXECUTION.match(first := name.partition("/")[0])}
    dropped = f"{executions.pop()}/" if len(executions) == 1 else ""
    return [(one.uri, _place(name.removeprefix(dropped), one.uri)) for one, name in zip(listed, names, strict=True)]


def _manifests(folder: Path) -> list[Path]:
    """The manifests of a step's artifacts: one folder deep, two where there are several executions."""
    executions = [path for path in folder.iterdir() if _EXECUTION.match(path.name)]
    return [path for place in (folder, *executions) for path in place.glob(f"*/{MANIFEST}")]


def _place(name: str, uri: str) -> PurePosixPath:
    parts = PurePosixPath(name).parts
    # the store is distrusted: a name must not lead out of the folder
    if not parts or any(part in ("..", "/") or "\\" in part or "\0" in part for part in parts):
        raise ClusterError(f"{uri!r}: this name leads out of the folder; nothing was copied")
    return PurePosixPath(*parts)


def _nothing(step: str, state: str, where: str) -> str:
    if state and state != "SUCCEEDED":
        return f"step {step} is {state.lower()} and has made nothing"
    return f"step {step}: nothing is below {without_secrets(where)}; give the store's folder with --pipeline-root"
