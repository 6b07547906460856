"""Requests that read from an API server are repeated when that can help; nothing that writes goes through here."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

from pipelines.cluster.errors import ClusterError, api_call

log = logging.getLogger(__name__)
T = TypeVar("T")
_AGAIN = frozenset({0, 429, 500, 502, 503, 504})
DELAYS_S = (0.5, 1.0, 2.0, 4.0)
_LONGEST_S = 30.0
PATIENCE_S = 600.0  # a server that restarts, or a laptop that changes its network, comes back within this


def read(what: str, call: Callable[[], T]) -> T:
    """Calls `call`, a request that changes nothing, up to five times.

    Raises:
        ClusterError: refused (401, 403, 404, ...) at once; 429, 5xx and lost connections after the last attempt.
    """
    for delay in DELAYS_S:
        try:
            with api_call(what):
                return call()
        except ClusterError as error:
            if error.status not in _AGAIN:
                raise
            wait = min(max(delay, error.retry_after_s or 0.0), _LONGEST_S)
            log.debug("%s; again in %.1f s", error, wait)
            time.sleep(wait)
    with api_call(what):
        return call()


def pages(what: str, ask: Callable[[str], Any]) -> Iterator[Any]:
    """Each page of a list, from `ask`, which takes the token of a page; the first one's is empty."""
    token: str | None = ""
    while token is not None:
        page = read(what, partial(ask, token))
        yield page
        token = page.next_page_token or None


def patiently(ask: Callable[[], T]) -> T:
    """Calls `ask`, which reads by `read`, for ten minutes while the server cannot be reached: for who watches a run.

    Raises:
        ClusterError: refused at once; or not reached in that time.
    """
    lost_at: float | None = None
    while True:
        try:
            return ask()
        except ClusterError as error:
            now = time.monotonic()
            if error.status not in _AGAIN or (lost_at is not None and now - lost_at >= PATIENCE_S):
                raise
            if lost_at is None:
                log.warning("%s; asking again for up to %.0f minutes", error, PATIENCE_S / 60)
                lost_at = now
