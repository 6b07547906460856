"""Doctor's look at the images: does each exist in its registry under that very digest?"""

from __future__ import annotations

from collections.abc import Iterator

from components.common.runtime.errors import ConfigError
from pipelines.cluster.check import Check, failed, ok, warning
from pipelines.cluster.connection import Connection
from pipelines.cluster.errors import ClusterError
from pipelines.cluster.image_registry import image_exists, pull_credentials
from pipelines.cluster.retry import read
from pipelines.cluster_file import STEPS, Cluster


def check_images(connection: Connection, cluster: Cluster) -> Iterator[Check]:
    """Every image that a step uses."""
    try:
        cluster.check_images(allow_mutable_tags=False)
    except ConfigError as error:
        yield warning("image names", str(error), "make images REGISTRY=... writes references by digest")
    credentials, problem = _credentials(connection, cluster)
    if problem:
        yield problem
    for image in dict.fromkeys(cluster.image_of(step) for step in STEPS):
        yield _check_image(image, credentials)


def _check_image(image: str, credentials: dict[str, str]) -> Check:
    what = f"image {image}"
    try:
        there = image_exists(image, credentials)
    except ClusterError as error:
        return warning(what, str(error), "seen from here; the nodes may reach the registry anyway")
    if there:
        return ok(what, "present")
    return failed(what, "the registry has no such image", "make images REGISTRY=... builds and pushes it")


def _credentials(connection: Connection, cluster: Cluster) -> tuple[dict[str, str], Check | None]:
    name = cluster.image_pull_secret
    if not name:
        return {}, None
    try:
        secret = read("the pull secret", lambda: connection.core.read_namespaced_secret(name, connection.namespace))
        return pull_credentials(secret), None
    except ClusterError as error:
        if error.status:  # missing, or not allowed to read: said where the cluster file's objects are looked at
            return {}, None
        return {}, failed(f"pull secret {name}", str(error), "make it with kubectl create secret docker-registry")
