"""`lesionflow upload`: the compiled pipeline as a new version in the Kubeflow UI, named by the commit."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import tempfile
from pathlib import Path
from typing import Any

from components.common.runtime.cli import add_command
from components.common.runtime.errors import ConfigError
from pipelines.cluster.compiled import add_pipeline_flags, compiled_text
from pipelines.cluster.connection import Connection, add_connection_flags
from pipelines.cluster.errors import ClusterError, api_call
from pipelines.cluster.retry import read
from pipelines.cluster_entries import default_tag
from pipelines.ir import load_documents


def add_parser(commands: argparse._SubParsersAction[Any]) -> None:
    """Adds the command with its flags."""
    command = add_command(
        commands,
        "upload",
        "upload the pipeline to Kubeflow as a new version",
        example="lesionflow upload --cluster cluster.yaml --image-refs out/images.yaml",
    )
    add_pipeline_flags(command)
    command.add_argument("--name", metavar="NAME", help="name of the pipeline in the UI; default: its own")
    command.add_argument("--version", metavar="NAME", help="name of the version; default: COMMIT-HASH of the file")
    add_connection_flags(command)
    command.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> None:
    text = compiled_text(arguments)
    name = arguments.name or load_documents(text)[0]["pipelineInfo"]["name"]
    print(upload(Connection.of(arguments), text, name, arguments.version or version_name(text)))


def version_name(text: str) -> str:
    """The commit and a hash of the compiled file: equal files have equal names, whatever cluster they are for."""
    return f"{default_tag()}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def upload(connection: Connection, text: str, name: str, version: str) -> str:
    """Uploads one version; a version of that name that is there already is left as it is.

    Returns:
        A line that says what was done.

    Raises:
        ClusterError: refused or not reachable. Nothing is sent twice.
    """
    if not name or len(version) > 100:
        raise ConfigError(f"--version: received {len(version)} characters; allowed: 1 to 100")
    pipeline_id = _pipeline_id(connection, name)
    new = pipeline_id is None
    if pipeline_id is None:
        pipeline_id = _create_pipeline(connection, name)
    elif _has_version(connection, pipeline_id, version):
        return f"pipeline {name}: version {version} already exists; nothing was uploaded"
    try:
        made = _upload_version(connection, text, pipeline_id, version)
    except ClusterError as error:
        if error.status == 409 and _has_version(connection, pipeline_id, version):
            return f"pipeline {name}: version {version} already exists; nothing was uploaded"
        raise
    return f"{'new pipeline' if new else 'pipeline'} {name}: uploaded version {version} ({made.pipeline_version_id})"


def _equals(name: str) -> str:
    return json.dumps({"predicates": [{"operation": "EQUALS", "key": "display_name", "stringValue": name}]})


def _pipeline_id(connection: Connection, name: str) -> str | None:
    found = read(
        "listing pipelines",
        lambda: connection.kfp.list_pipelines(filter=_equals(name), namespace=connection.user_namespace),
    )
    return str(found.pipelines[0].pipeline_id) if found.pipelines else None


def _create_pipeline(connection: Connection, name: str) -> str:
    import kfp_server_api

    body = kfp_server_api.V2beta1Pipeline(name=name, display_name=name, namespace=connection.user_namespace)
    with api_call(f"creating pipeline {name}"):
        made = connection.kfp._pipelines_api.pipeline_service_create_pipeline(pipeline=body)
    return str(made.pipeline_id)


def _has_version(connection: Connection, pipeline_id: str, version: str) -> bool:
    found = read(
        "listing pipeline versions",
        lambda: connection.kfp.list_pipeline_versions(pipeline_id=pipeline_id, filter=_equals(version)),
    )
    return bool(found.pipeline_versions)


def _upload_version(connection: Connection, text: str, pipeline_id: str, version: str) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "lesionflow.yaml"
        file.write_text(text, encoding="utf-8")
        # kfp prints a link of its own, which names the wrong host behind a port-forward
        with contextlib.redirect_stdout(io.StringIO()), api_call(f"uploading version {version}"):
            return connection.kfp.upload_pipeline_version(
                str(file), pipeline_version_name=version, pipeline_id=pipeline_id
            )
