"""The Kubernetes API from inside a pod, with nothing but the standard library: the images hold no Kubernetes client."""

from __future__ import annotations

import json
import os
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from pipelines.cluster.errors import ClusterError

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_TIMEOUT_S = 20.0


class InPodApi:
    """Reads as this pod's service account; a `pipelines.cluster.pods.KubernetesApi`.

    Raises:
        ClusterError: this is not a pod, or its account has no token.
    """

    def __init__(self, account: Path = ACCOUNT) -> None:
        host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
        if not host or not (account / "token").is_file():
            raise ClusterError("this is not a pod, or its service account has no token")
        self._url = f"https://{f'[{host}]' if ':' in host else host}:{port}"
        self._account = account
        self._trust = ssl.create_default_context(cafile=str(account / "ca.crt"))

    @property
    def namespace(self) -> str:
        """This pod's own namespace."""
        return (self._account / "namespace").read_text(encoding="utf-8").strip()

    def get_json(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The object at `path`; raises ClusterError."""
        value: dict[str, Any] = json.loads(self.get_text(path, query))
        return value

    def get_text(self, path: str, query: Mapping[str, str] | None = None) -> str:
        """The text at `path`; raises ClusterError."""
        token = (self._account / "token").read_text(encoding="utf-8").strip()  # renewed in place by the node
        request = urllib.request.Request(
            f"{self._url}{path}?{urlencode(query or {})}", headers={"Authorization": f"Bearer {token}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S, context=self._trust) as answer:
                data: bytes = answer.read()
        except urllib.error.HTTPError as error:
            raise ClusterError(f"{path}: HTTP {error.code}", error.code) from error
        except (OSError, ValueError) as error:
            raise ClusterError(f"{path}: the API server cannot be reached ({error})") from error
        return data.decode("utf-8", "replace")
