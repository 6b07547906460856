"""What the API servers answered, in words a person can act on, and without a secret in them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from components.common.runtime.errors import LesionflowError
from components.common.runtime.secrets import without_secrets

_REMEDIES = {
    400: "the request does not fit this server's version; compare the versions that lesionflow doctor prints",
    401: "not signed in, or the token has expired: renew it (LESIONFLOW_KFP_TOKEN, --token-file, or your kubeconfig)",
    403: "signed in, but not allowed: ask for the role lesionflow-viewer in manifests/base, or check --namespace",
    404: "nothing of that name there: check the name, --namespace and --host",
    409: "something of that name exists already",
    410: "the server has dropped that part of its history; ask again",
    429: "the server is asking for fewer requests; try again in a minute",
}


class ClusterError(LesionflowError):
    """An API server refused, failed, or could not be reached; `status` is its HTTP status, 0 for none."""

    def __init__(self, message: str, status: int = 0, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s


@contextmanager
def api_call(what: str) -> Iterator[None]:
    """Turns every failure of the API clients inside into a `ClusterError`.

    Args:
        what: the action, as in "listing nodes".
    """
    import kfp_server_api
    import kubernetes
    import urllib3

    try:
        yield
    except (kfp_server_api.ApiException, kubernetes.client.ApiException) as error:
        raise _refused(what, error) from None  # the cause would print the response's headers, cookies among them
    except urllib3.exceptions.HTTPError as error:
        raise _unreachable(what, error) from error
    except (OSError, ValueError, kubernetes.config.ConfigException) as error:
        raise ClusterError(f"{what}: {' '.join(str(error).split())}") from error


def _refused(what: str, error: Any) -> ClusterError:
    status = int(error.status or 0)
    if status == 0:
        return ClusterError(f"{what}: {without_secrets(str(error.reason))[:300]}")
    remedy = _REMEDIES.get(status, "the server failed; its own log says why" if status >= 500 else "")
    said = without_secrets(_message(error.body))
    text = f"{what}: HTTP {status}" + (f", {said}" if said else "") + (f" ({remedy})" if remedy else "")
    return ClusterError(text, status, _retry_after(error.headers))


def _retry_after(headers: Any) -> float | None:
    value = (headers or {}).get("Retry-After", "")
    return float(value) if str(value).isdigit() else None


def _unreachable(what: str, error: Exception) -> ClusterError:
    reason = getattr(error, "reason", error)
    if "redirect" in str(reason):
        return ClusterError(
            f"{what}: the server redirects to another address, a sign-in page most likely; "
            "give a token or cookie, or use kubectl port-forward",
            302,
        )
    kind = type(reason).__name__.removesuffix("Error")
    return ClusterError(
        f"{what}: the server cannot be reached ({kind}); is it up, is --host right, does a port-forward still run?"
    )


def _message(body: Any) -> str:
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body or "")
    try:
        parsed = json.loads(text)
    except ValueError:
        return "" if text.lstrip().startswith("<") else " ".join(text.split())[:300]
    if not isinstance(parsed, dict):
        return ""
    # Kubernetes and most of KFP say `message`; KFP's uploads say `error_message`, and repeat it in `error_details`
    said = next((parsed[key] for key in ("message", "error_message", "error_details", "error") if parsed.get(key)), "")
    return " ".join(str(said).split())[:300]
