"""Doctor's look at the images: does each exist in its registry under that very digest?

The registry is asked as the OCI distribution specification says (`HEAD manifests`).
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import urllib3

from components.common.runtime.errors import ConfigError
from pipelines.cluster.check import Check, failed, ok, warning
from pipelines.cluster.connection import Connection
from pipelines.cluster.errors import ClusterError, api_call
from pipelines.cluster.retry import read
from pipelines.cluster_file import STEPS, Cluster

_ACCEPT = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
_LOCAL = ("localhost", "127.0.0.1", "[::1]")
_TIMEOUT = urllib3.Timeout(connect=5.0, read=15.0)


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


@dataclass(frozen=True)
class ImageName:
    """An image reference taken apart."""

    host: str
    repository: str
    reference: str

    @classmethod
    def parse(cls, image: str) -> ImageName:
        """Splits `host/path@sha256:...` or `host/path:tag`; names without a host are Docker Hub's."""
        name, at, digest = image.partition("@")
        head, slash, rest = name.partition("/")
        if not slash or not ("." in head or ":" in head or head == "localhost"):
            head, rest = "registry-1.docker.io", name if slash else f"library/{name}"
        repository, colon, tag = rest.partition(":")
        return cls(head, repository, digest if at else (tag if colon else "latest"))


def image_exists(image: str, credentials: Mapping[str, str] | None = None) -> bool:
    """Asks the registry for the image's manifest.

    Args:
        image: the reference.
        credentials: `user:password` by registry host, as `pull_credentials` reads them from a pull secret.

    Raises:
        ClusterError: the registry cannot be reached, or requires a sign-in that we do not have.
    """
    name = ImageName.parse(image)
    basic = (credentials or {}).get(name.host)
    scheme = "http" if name.host.partition(":")[0] in _LOCAL else "https"
    url = f"{scheme}://{name.host}/v2/{name.repository}/manifests/{name.reference}"
    headers = {"Accept": _ACCEPT}
    with api_call(f"registry {name.host}"):
        pool = urllib3.PoolManager(retries=urllib3.Retry(0, redirect=3), timeout=_TIMEOUT)
        answer = pool.request("HEAD", url, headers=headers)
        if answer.status == 401:
            headers["Authorization"] = _authorization(pool, answer.headers.get("WWW-Authenticate", ""), name, basic)
            answer = pool.request("HEAD", url, headers=headers)
    if answer.status in (200, 404):
        return answer.status == 200
    raise ClusterError(f"registry {name.host}: HTTP {answer.status} for {name.repository}", answer.status)


def pull_credentials(secret: Any) -> dict[str, str]:
    """`user:password` by registry host from a secret of type kubernetes.io/dockerconfigjson."""
    try:
        encoded = (secret.data or {})[".dockerconfigjson"]
        entries = json.loads(base64.b64decode(encoded))["auths"]
        return {
            urlsplit(f"//{host.partition('://')[2] or host}").netloc: _basic(entry) for host, entry in entries.items()
        }
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise ClusterError(
            "the pull secret is not a registry secret; make it with kubectl create secret docker-registry"
        ) from error


def _basic(entry: Mapping[str, str]) -> str:
    if "auth" in entry:
        return base64.b64decode(entry["auth"]).decode()
    return f"{entry['username']}:{entry['password']}"


def _authorization(pool: urllib3.PoolManager, challenge: str, name: ImageName, basic: str | None) -> str:
    kind, _, rest = challenge.partition(" ")
    header = {"Authorization": f"Basic {base64.b64encode(basic.encode()).decode()}"} if basic else {}
    if kind.lower() == "basic":
        if not basic:
            raise ClusterError(f"registry {name.host}: requires a sign-in; set image_pull_secret in cluster.yaml", 401)
        return header["Authorization"]
    fields = dict(_CHALLENGE.findall(rest))
    realm = fields.get("realm", "")
    where = urlsplit(realm)
    # the registry names this address: a password goes there only over TLS or within this machine
    if where.scheme != "https" and where.hostname not in _LOCAL:
        raise ClusterError(f"registry {name.host}: its sign-in address {realm!r} is not https; refused", 401)
    query = urlencode({"service": fields.get("service", ""), "scope": f"repository:{name.repository}:pull"})
    answer = pool.request("GET", f"{realm}?{query}", headers=header)
    if answer.status != 200:
        raise ClusterError(
            f"registry {name.host}: sign-in gave HTTP {answer.status}; check the pull secret", answer.status
        )
    given = json.loads(answer.data)
    return f"Bearer {given.get('token') or given['access_token']}"
