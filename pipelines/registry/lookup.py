"""`model-registry://NAME/VERSION`: a registered version where a bundle is asked for.

The form is that of KServe's storage initializer for Kubeflow's registry. What is found is held against the digest that
was registered with it, so a bundle that was replaced in the store is refused.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from urllib.parse import unquote

from components.common.runtime.errors import ConfigError
from pipelines.registry.client import Server, find_version, server_at

SERVER_VARIABLE = "LESIONFLOW_REGISTRY"  # the registry's address, where no flag gives it
SCHEME = "model-registry://"
_MINIO, _S3 = "minio://", "s3://"  # what Kubeflow Pipelines calls its own store, and how that is reached


@dataclass(frozen=True)
class Source:
    """Where a bundle is.

    Attributes:
        uri: folder, gs:// or s3:// URI.
        digest: what its digest must be; empty: anything.
        evaluation: where its evaluation is; empty: not known.
    """

    uri: str
    digest: str = ""
    evaluation: str = ""


def registered(given: str) -> bool:
    """Whether a bundle is given as a registered version."""
    return given.startswith(SCHEME)


def source_of(given: str, server: Server | None = None, *, digest: str = "") -> Source:
    """Where a bundle is that is given as a folder, a URI or a registered version.

    Args:
        given: as a person gives it.
        server: the registry; None: the one that LESIONFLOW_REGISTRY names.
        digest: that the bundle must have; empty: that of the registered version, if it has one.

    Raises:
        ConfigError: not the name of a version, no registry is known, or the version is registered with another digest.
        RegistryError: the registry cannot be reached, or knows no such version.
    """
    if not registered(given):
        return Source(given, digest)
    name, mark, version = (unquote(part) for part in given.removeprefix(SCHEME).rpartition("/"))
    if not (name and mark and version) or "/" in name:
        raise ConfigError(
            f"bundle: received {given!r}; allowed: {SCHEME}NAME/VERSION, as `lesionflow register` printed both; "
            "a slash in a name is written %2F"
        )
    if server is None:
        address = os.environ.get(SERVER_VARIABLE)
        if not address:
            raise ConfigError(
                f"bundle: received {given!r}, and no registry is known; give --server URL on the command line, or "
                "registry.server in the cluster file of the compiled pipeline"
            )
        server = server_at(address)
    found = find_version(server, name, version)
    if digest and found.digest and digest.lower() != found.digest:
        raise ConfigError(
            f"bundle_digest: received {digest[:12]}, and {given} is registered with {found.digest[:12]}; allowed: the "
            "version that has it, or no bundle_digest"
        )
    return Source(_reachable(found.uri), found.digest or digest, _reachable(found.evaluation))


def _reachable(uri: str) -> str:
    return _S3 + uri.removeprefix(_MINIO) if uri.startswith(_MINIO) else uri
