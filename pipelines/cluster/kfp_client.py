"""`kfp.Client` with its habits changed: it fails at once, retries nothing by itself, and keeps the API proxy's path."""

from __future__ import annotations

from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import kfp
import urllib3


def _keep_host(config: Any) -> None:
    """Keeps the path of the kubeconfig's API proxy when a token is renewed.

    With a token or an exec plugin (GKE, EKS, OIDC) the Kubernetes client renews the token before every
    request, and sets the host anew each time: to the bare API server's, which knows none of KFP's paths.
    """
    hook = config.refresh_api_key_hook
    if hook is None:
        return

    def renew(settings: Any) -> None:
        host = settings.host
        hook(settings)
        settings.host = host
        settings.refresh_api_key_hook = renew  # the hook puts itself back, too

    config.refresh_api_key_hook = renew


class Client(kfp.Client):  # type: ignore[misc]  # kfp ships no types
    """`kfp.Client`; authentication, hosts and API objects are its own."""

    def _load_config(self, *args: Any, **kwargs: Any) -> Any:
        with redirect_stdout(StringIO()):  # "Failed to load kube config." for each client made; doctor says it once
            config = super()._load_config(*args, **kwargs)
        # urllib3 by default waits as long as Retry-After says, and follows a redirect to a sign-in page
        config.retries = urllib3.Retry(0)
        _keep_host(config)
        return config

    def get_kfp_healthz(self, sleep_duration: int = 0) -> Any:
        """Asks once; kfp's own asks five times and logs the response's headers, cookies among them."""
        return self._healthz_api.healthz_service_get_healthz()

    def get_user_namespace(self) -> str:
        """Empty: each call of ours says itself which namespace it means."""
        return ""
