"""Doctor's look at the two API servers: reachable, which version, and what we may do there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from pipelines.cluster.check import Check, failed, ok, warning
from pipelines.cluster.connection import Connection
from pipelines.cluster.errors import ClusterError, api_call
from pipelines.cluster.retry import read

# a server ignores what it does not know. Before 2.14 (kubeflow/pipelines, CHANGELOG.md) that is the retry of a step in
# a nested pipeline, the state that the exit task is given, and the outputs of loops
_OLDEST = (2, 14)
# with 2.17, against which this was written: the run's deadline, the removal of its pods, the user of a step
_WHOLE = (2, 17)
# what logs and status read; a run itself needs none of it
_RIGHTS = (("list", "pods", ""), ("get", "pods", "log"), ("list", "events", ""))


def check_kubernetes(connection: Connection) -> Iterator[Check]:
    """The Kubernetes API: reachable, version, rights in the namespace."""
    from kubernetes import client

    what = "Kubernetes API"
    try:
        version = read(what, lambda: client.VersionApi(connection.kubernetes).get_code())
        yield ok(what, f"{version.git_version}, namespace {connection.namespace}")
        yield from _rights(connection)
    except ClusterError as error:
        yield failed(what, _said(what, error), "check kubectl cluster-info, KUBECONFIG and --context")


def check_kfp(connection: Connection) -> Iterator[Check]:
    """Kubeflow Pipelines: reachable, version, fit for the client."""
    from importlib import metadata

    what = "Kubeflow Pipelines"
    try:
        health = read(what, connection.kfp.get_kfp_healthz)
    except ClusterError as error:
        yield failed(
            what, _said(what, error), "give --host, or: kubectl port-forward -n kubeflow svc/ml-pipeline-ui 8080:80"
        )
        return
    version = _kfp_version(connection)
    ours = metadata.version("kfp")
    mode = "multi-user" if health.multi_user else "single-user"
    found = f"{version or 'version unknown'}, {mode}; client {ours}"
    release = _release(version)
    if release and release < _OLDEST:
        yield failed(what, found, "update it to 2.17; before 2.14 it would not retry a lost training")
    elif release and release < _WHOLE:
        yield warning(what, found, "update it to 2.17: older ones ignore deadline_s, ttl_s and run_as_user")
    else:
        yield ok(what, found)


def _release(version: str) -> tuple[int, int] | None:
    numbers = re.match(r"(\d+)\.(\d+)", version)
    return (int(numbers[1]), int(numbers[2])) if numbers else None


def _said(what: str, error: ClusterError) -> str:
    return str(error).removeprefix(f"{what}: ")


def _kfp_version(connection: Connection) -> str:
    """The server's release; only the older path tells it, and not every installation still has that."""
    client = connection.kfp._healthz_api.api_client
    try:
        with api_call("version"):
            answer = client.call_api(
                "/apis/v1beta1/healthz",
                "GET",
                auth_settings=["Bearer"],
                _preload_content=False,
                _return_http_data_only=True,
            )
            return str(json.loads(answer.data).get("tag_name", "")).lstrip("v")
    except (ClusterError, AttributeError):
        return ""


def _rights(connection: Connection) -> Iterator[Check]:
    from kubernetes import client

    denied = []
    for verb, resource, part in _RIGHTS:
        review = client.V1SelfSubjectAccessReview(
            spec=client.V1SelfSubjectAccessReviewSpec(
                resource_attributes=client.V1ResourceAttributes(
                    namespace=connection.namespace, verb=verb, resource=resource, subresource=part or None
                )
            )
        )
        with api_call("asking for our rights"):  # a POST, but one that changes nothing and is not worth a second try
            answer = client.AuthorizationV1Api(connection.kubernetes).create_self_subject_access_review(review)
        if not answer.status.allowed:
            denied.append(f"{verb} {resource}{'/' + part if part else ''}")
    if denied:
        yield warning("rights", f"may not {', '.join(denied)}", "ask for the role lesionflow-viewer in manifests/base")
    else:
        yield ok("rights", "pods, logs and events can be read")
