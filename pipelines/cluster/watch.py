"""What changes at a run's pods: waiting for it, and the events that Kubernetes writes about one."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from pipelines.cluster.connection import Connection
from pipelines.cluster.errors import ClusterError, api_call
from pipelines.cluster.pods import RUN_LABEL


def wait_for_change(connection: Connection, run_id: str, version: str, seconds: float) -> None:
    """Returns when a pod of the run has changed since `version`, or after `seconds`.

    A watch that ends early (410: the server has forgotten that version; a lost connection) is not an
    error here: the caller lists the pods anew either way.
    """
    from kubernetes import watch

    started = time.monotonic()
    try:
        with api_call("watching pods"):
            for _ in watch.Watch().stream(
                connection.core.list_namespaced_pod,
                connection.namespace,
                label_selector=f"{RUN_LABEL}={run_id}",
                resource_version=version,
                timeout_seconds=max(1, round(seconds)),
                _request_timeout=(10.0, seconds + 10.0),
            ):
                return
    except ClusterError as error:
        if error.status in (401, 403):
            time.sleep(max(0.0, seconds - (time.monotonic() - started)))  # may list, may not watch


def events_of(connection: Connection, name: str) -> list[Mapping[str, Any]]:
    """Events of one object, newest first; none where the role does not allow to see them."""
    path = f"/api/v1/namespaces/{connection.namespace}/events"
    try:
        listed = connection.get_json(path, {"fieldSelector": f"involvedObject.name={name}"})
    except ClusterError:
        return []
    return sorted(listed["items"], key=lambda one: one.get("lastTimestamp") or one.get("eventTime") or "", reverse=True)
