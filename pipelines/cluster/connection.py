"""How a command reaches the cluster: flags, environment, kubeconfig, or the pod it runs in.

Kubeflow Pipelines is found as `kfp.Client` finds it: `--host` or KF_PIPELINES_ENDPOINT (a
port-forward, an ingress), else the service account of the pod, else the kubeconfig's API proxy.
Secrets come from files or the environment, never from the command line, which other users can see.
"""

from __future__ import annotations

import argparse
import json
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from components.common.runtime.cli import CommandParser
from components.common.runtime.errors import ConfigError
from pipelines.cluster.errors import api_call
from pipelines.cluster.retry import read

TOKEN_VARIABLE = "LESIONFLOW_KFP_TOKEN"
COOKIES_VARIABLE = "LESIONFLOW_KFP_COOKIES"
NAMESPACE_VARIABLE = "LESIONFLOW_NAMESPACE"
_TIMEOUT_S = (10.0, 60.0)
_POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def add_connection_flags(command: CommandParser) -> None:
    """Adds the flags every cluster command has."""
    group = command.add_argument_group("connection", f"secrets: {TOKEN_VARIABLE}, {COOKIES_VARIABLE}, or files")
    group.add_argument("--host", metavar="URL", help="Kubeflow Pipelines (KF_PIPELINES_ENDPOINT)")
    group.add_argument(
        "--namespace", dest="namespace_flag", metavar="NAME", help=f"where runs have their pods ({NAMESPACE_VARIABLE})"
    )
    group.add_argument("--kfp-namespace", metavar="NAME", default="kubeflow", help="where Kubeflow Pipelines lives")
    group.add_argument("--context", metavar="NAME", help="context of the kubeconfig")
    group.add_argument("--token-file", type=Path, metavar="FILE", help="bearer token for Kubeflow Pipelines")
    group.add_argument("--cookies-file", type=Path, metavar="FILE", help="session cookies for Kubeflow Pipelines")
    group.add_argument("--ca-cert", metavar="FILE", help="certificate authority of the Kubeflow Pipelines host")


@dataclass
class Connection:
    """Both API servers, each connected to on first use."""

    host: str | None = None
    namespace_flag: str | None = None
    kfp_namespace: str = "kubeflow"
    context: str | None = None
    token_file: Path | None = None
    cookies_file: Path | None = None
    ca_cert: str | None = None

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> Connection:
        """The connection that the flags of `add_connection_flags` ask for."""
        return cls(**{one.name: getattr(arguments, one.name) for one in fields(cls)})

    @cached_property
    def kfp(self) -> Any:
        """A `kfp.Client`.

        Raises:
            ClusterError: not reachable, or not signed in.
        """
        from pipelines.cluster.kfp_client import Client

        def connect() -> Any:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # says of every version that it needs a 2.x server
                return Client(
                    host=self.host,
                    namespace=self.kfp_namespace,
                    kube_context=self.context,
                    existing_token=_secret(self.token_file, TOKEN_VARIABLE, "--token-file"),
                    cookies=_secret(self.cookies_file, COOKIES_VARIABLE, "--cookies-file"),
                    ssl_ca_cert=self.ca_cert,
                )

        return read("Kubeflow Pipelines", connect)

    def renew(self) -> None:
        """Signs in again with the next request: token files are often renewed by another program."""
        self.__dict__.pop("kfp", None)

    @cached_property
    def multi_user(self) -> bool:
        """Whether this Kubeflow keeps each user's runs in a namespace of their own."""
        return bool(read("Kubeflow Pipelines", self.kfp.get_kfp_healthz).multi_user)

    @property
    def user_namespace(self) -> str | None:
        """The namespace to name in KFP requests: none on a single-user Kubeflow, which refuses one."""
        return self.namespace if self.multi_user else None

    @cached_property
    def kubernetes(self) -> Any:
        """A `kubernetes.client.ApiClient`.

        Raises:
            ClusterError: no kubeconfig, and not in a pod.
        """
        import urllib3
        from kubernetes import client, config

        settings = client.Configuration()
        with api_call("kubeconfig"):
            try:
                config.load_incluster_config(client_configuration=settings)
            except config.ConfigException:
                config.load_kube_config(
                    os.environ.get("KUBECONFIG") or None, context=self.context, client_configuration=settings
                )
        settings.retries = urllib3.Retry(0)  # `retry.read` decides what is asked again
        return client.ApiClient(settings)

    def get_json(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """A Kubernetes object, as the API server sends it.

        Raises:
            ClusterError: refused, or not reached after several attempts.
        """
        value: dict[str, Any] = json.loads(self._get(path, query))
        return value

    def get_text(self, path: str, query: Mapping[str, str] | None = None) -> str:
        """Text from the Kubernetes API server, such as a log.

        Raises:
            ClusterError: refused, or not reached after several attempts.
        """
        return self._get(path, query).decode("utf-8", "replace")

    def _get(self, path: str, query: Mapping[str, str] | None) -> bytes:
        data: bytes = self.open(path, query).data
        return data

    def open(self, path: str, query: Mapping[str, str] | None, *, idle_s: float = _TIMEOUT_S[1]) -> Any:
        """The answer of the Kubernetes API server to a GET, not read yet.

        Args:
            path: of the API.
            query: its parameters.
            idle_s: seconds without a byte after which the connection counts as lost.

        Raises:
            ClusterError: refused, or not reached after several attempts.
        """

        def ask() -> Any:
            return self.kubernetes.call_api(
                path,
                "GET",
                query_params=list((query or {}).items()),
                header_params={"Accept": "*/*"},
                auth_settings=["BearerToken"],
                _preload_content=False,
                _request_timeout=(_TIMEOUT_S[0], idle_s),
                _return_http_data_only=True,
            )

        return read(_what(path), ask)

    @cached_property
    def core(self) -> Any:
        """The Kubernetes core API."""
        from kubernetes import client

        return client.CoreV1Api(self.kubernetes)

    @cached_property
    def namespace(self) -> str:
        """Where the pods of runs are: the flag, the variable, this pod's, the context's, or Kubeflow's own."""
        given = self.namespace_flag or os.environ.get(NAMESPACE_VARIABLE)
        if given:
            return given
        if _POD_NAMESPACE.is_file():
            return _POD_NAMESPACE.read_text(encoding="utf-8").strip()
        return self._context_namespace() or self.kfp_namespace

    def _context_namespace(self) -> str:
        from kubernetes import config

        try:
            contexts, active = config.list_kube_config_contexts(os.environ.get("KUBECONFIG") or None)
        except config.ConfigException:
            return ""
        chosen = next((item for item in contexts if item["name"] == self.context), active)
        return str(chosen["context"].get("namespace", ""))


def _what(path: str) -> str:
    """What a request is for, in an error's text: `listing pods`, `log of POD`."""
    *_, before, last = path.split("/")
    if last == "log":
        return f"log of {before}"
    return f"listing {last}" if before != "pods" else f"pod {last}"


def _secret(file: Path | None, variable: str, flag: str) -> str | None:
    if file is None:
        return os.environ.get(variable) or None
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{flag}: {file} is not readable; expected a text file with the secret alone") from error
